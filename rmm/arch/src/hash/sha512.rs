//! SHA-512 with the CPU's instructions.

use core::arch::global_asm;

global_asm!(
    r#"
    .arch armv8.2-a+fp+simd+sha3

    // Two rounds with message words v\m: the working variables are pairs, low lane first: (a, b),
    // (c, d), (e, f), (g, h). The new (a, b) end in v\gh, the new (e, f) in v\sp; x7 runs over the
    // constants.
    .macro sha512_pair ab, cd, ef, gh, sp, m
    ldr     q5, [x7], #16
    add     v5.2d, v5.2d, v\m\().2d
    ext     v5.16b, v5.16b, v5.16b, #8
    ext     v6.16b, v\ef\().16b, v\gh\().16b, #8
    ext     v7.16b, v\cd\().16b, v\ef\().16b, #8
    add     v\gh\().2d, v\gh\().2d, v5.2d
    sha512h q\gh, q6, v7.2d
    add     v\sp\().2d, v\cd\().2d, v\gh\().2d
    sha512h2 q\gh, q\cd, v\ab\().2d
    .endm

    // v\m0 becomes the message words eight vectors on.
    .macro sha512_schedule m0, m1, m4, m5, m7
    ext     v5.16b, v\m4\().16b, v\m5\().16b, #8
    sha512su0 v\m0\().2d, v\m1\().2d
    sha512su1 v\m0\().2d, v\m7\().2d, v5.2d
    .endm

    .section .text.cairn_sha512, "ax"
    .balign 64
    .global cairn_sha512
    // x0: digest, 64 bytes; x1, x2: blocks of 128 bytes and their number; x3: initial state; x4:
    // constants; x5, x6: the last blocks, one or two.
cairn_sha512:
    ld1     {{v0.2d-v3.2d}}, [x3]
    cbz     x2, 2f
1:  ld1     {{v16.16b-v19.16b}}, [x1], #64
    ld1     {{v20.16b-v23.16b}}, [x1], #64
    rev64   v16.16b, v16.16b
    rev64   v17.16b, v17.16b
    rev64   v18.16b, v18.16b
    rev64   v19.16b, v19.16b
    rev64   v20.16b, v20.16b
    rev64   v21.16b, v21.16b
    rev64   v22.16b, v22.16b
    rev64   v23.16b, v23.16b
    mov     x7, x4
    mov     v24.16b, v0.16b
    mov     v25.16b, v1.16b
    mov     v26.16b, v2.16b
    mov     v27.16b, v3.16b
    sha512_pair 0 1 2 3 4 16
    sha512_schedule 16 17 20 21 23
    sha512_pair 3 0 4 2 1 17
    sha512_schedule 17 18 21 22 16
    sha512_pair 2 3 1 4 0 18
    sha512_schedule 18 19 22 23 17
    sha512_pair 4 2 0 1 3 19
    sha512_schedule 19 20 23 16 18
    sha512_pair 1 4 3 0 2 20
    sha512_schedule 20 21 16 17 19
    sha512_pair 0 1 2 3 4 21
    sha512_schedule 21 22 17 18 20
    sha512_pair 3 0 4 2 1 22
    sha512_schedule 22 23 18 19 21
    sha512_pair 2 3 1 4 0 23
    sha512_schedule 23 16 19 20 22
    sha512_pair 4 2 0 1 3 16
    sha512_schedule 16 17 20 21 23
    sha512_pair 1 4 3 0 2 17
    sha512_schedule 17 18 21 22 16
    sha512_pair 0 1 2 3 4 18
    sha512_schedule 18 19 22 23 17
    sha512_pair 3 0 4 2 1 19
    sha512_schedule 19 20 23 16 18
    sha512_pair 2 3 1 4 0 20
    sha512_schedule 20 21 16 17 19
    sha512_pair 4 2 0 1 3 21
    sha512_schedule 21 22 17 18 20
    sha512_pair 1 4 3 0 2 22
    sha512_schedule 22 23 18 19 21
    sha512_pair 0 1 2 3 4 23
    sha512_schedule 23 16 19 20 22
    sha512_pair 3 0 4 2 1 16
    sha512_schedule 16 17 20 21 23
    sha512_pair 2 3 1 4 0 17
    sha512_schedule 17 18 21 22 16
    sha512_pair 4 2 0 1 3 18
    sha512_schedule 18 19 22 23 17
    sha512_pair 1 4 3 0 2 19
    sha512_schedule 19 20 23 16 18
    sha512_pair 0 1 2 3 4 20
    sha512_schedule 20 21 16 17 19
    sha512_pair 3 0 4 2 1 21
    sha512_schedule 21 22 17 18 20
    sha512_pair 2 3 1 4 0 22
    sha512_schedule 22 23 18 19 21
    sha512_pair 4 2 0 1 3 23
    sha512_schedule 23 16 19 20 22
    sha512_pair 1 4 3 0 2 16
    sha512_schedule 16 17 20 21 23
    sha512_pair 0 1 2 3 4 17
    sha512_schedule 17 18 21 22 16
    sha512_pair 3 0 4 2 1 18
    sha512_schedule 18 19 22 23 17
    sha512_pair 2 3 1 4 0 19
    sha512_schedule 19 20 23 16 18
    sha512_pair 4 2 0 1 3 20
    sha512_schedule 20 21 16 17 19
    sha512_pair 1 4 3 0 2 21
    sha512_schedule 21 22 17 18 20
    sha512_pair 0 1 2 3 4 22
    sha512_schedule 22 23 18 19 21
    sha512_pair 3 0 4 2 1 23
    sha512_schedule 23 16 19 20 22
    sha512_pair 2 3 1 4 0 16
    sha512_pair 4 2 0 1 3 17
    sha512_pair 1 4 3 0 2 18
    sha512_pair 0 1 2 3 4 19
    sha512_pair 3 0 4 2 1 20
    sha512_pair 2 3 1 4 0 21
    sha512_pair 4 2 0 1 3 22
    sha512_pair 1 4 3 0 2 23
    add     v0.2d, v0.2d, v24.2d
    add     v1.2d, v1.2d, v25.2d
    add     v2.2d, v2.2d, v26.2d
    add     v3.2d, v3.2d, v27.2d
    subs    x2, x2, #1
    b.ne    1b
2:  mov     x1, x5
    mov     x2, x6
    mov     x6, #0
    cbnz    x2, 1b
    rev64   v0.16b, v0.16b
    rev64   v1.16b, v1.16b
    rev64   v2.16b, v2.16b
    rev64   v3.16b, v3.16b
    st1     {{v0.16b-v3.16b}}, [x0]
    ret
    .arch armv8-a+nofp+nosimd
    "#
);

unsafe extern "C" {
    /// SHA-512 or SHA-384 of `blocks` blocks and then `last_blocks` more.
    ///
    /// # Safety
    ///
    /// The SIMD unit is open and V0 to V31 are saved; `digest` takes 64 bytes, `message` is `blocks
    /// * 128` bytes, `last` is `last_blocks * 128` bytes.
    fn cairn_sha512(
        digest: *mut u8,
        message: *const u8,
        blocks: usize,
        initial: *const [u64; 8],
        constants: *const Constants,
        last: *const u64,
        last_blocks: usize,
    );
}

/// SHA-512 of a message whose last one or two blocks, the padding included, are `last`; SHA-384, in
/// the first 48 bytes, if `initial` is [`INITIAL_384`].
///
/// # Safety
///
/// The SIMD unit is open, V0 to V31 are saved, and the CPU has FEAT_SHA512.
#[inline(always)]
pub(super) unsafe fn digest(
    initial: &[u64; 8],
    blocks: &[[u8; 128]],
    last: &[[u64; 16]],
) -> [u8; 64] {
    let mut digest = [0; 64];
    let (message, tail) = (blocks.as_ptr().cast(), last.as_ptr().cast());
    let (to, constants) = (digest.as_mut_ptr(), &raw const CONSTANTS);
    // SAFETY: lengths by type; the unit is the caller's by this function's contract.
    unsafe { cairn_sha512(to, message, blocks.len(), initial, constants, tail, last.len()) };
    digest
}

/// The initial state of SHA-512. Source: FIPS 180-4, 5.3.5.
pub(super) static INITIAL: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// The initial state of SHA-384. Source: FIPS 180-4, 5.3.4.
pub(super) static INITIAL_384: [u64; 8] = [
    0xcbbb_9d5d_c105_9ed8,
    0x629a_292a_367c_d507,
    0x9159_015a_3070_dd17,
    0x152f_ecd8_f70e_5939,
    0x6733_2667_ffc0_0b31,
    0x8eb4_4a87_6858_1511,
    0xdb0c_2e0d_64f9_8fa7,
    0x47b5_481d_befa_4fa4,
];

/// The round constants. Source: FIPS 180-4, 4.2.3.
#[repr(C, align(16))]
struct Constants([u64; 80]);

static CONSTANTS: Constants = Constants([
    0x428a_2f98_d728_ae22,
    0x7137_4491_23ef_65cd,
    0xb5c0_fbcf_ec4d_3b2f,
    0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538,
    0x59f1_11f1_b605_d019,
    0x923f_82a4_af19_4f9b,
    0xab1c_5ed5_da6d_8118,
    0xd807_aa98_a303_0242,
    0x1283_5b01_4570_6fbe,
    0x2431_85be_4ee4_b28c,
    0x550c_7dc3_d5ff_b4e2,
    0x72be_5d74_f27b_896f,
    0x80de_b1fe_3b16_96b1,
    0x9bdc_06a7_25c7_1235,
    0xc19b_f174_cf69_2694,
    0xe49b_69c1_9ef1_4ad2,
    0xefbe_4786_384f_25e3,
    0x0fc1_9dc6_8b8c_d5b5,
    0x240c_a1cc_77ac_9c65,
    0x2de9_2c6f_592b_0275,
    0x4a74_84aa_6ea6_e483,
    0x5cb0_a9dc_bd41_fbd4,
    0x76f9_88da_8311_53b5,
    0x983e_5152_ee66_dfab,
    0xa831_c66d_2db4_3210,
    0xb003_27c8_98fb_213f,
    0xbf59_7fc7_beef_0ee4,
    0xc6e0_0bf3_3da8_8fc2,
    0xd5a7_9147_930a_a725,
    0x06ca_6351_e003_826f,
    0x1429_2967_0a0e_6e70,
    0x27b7_0a85_46d2_2ffc,
    0x2e1b_2138_5c26_c926,
    0x4d2c_6dfc_5ac4_2aed,
    0x5338_0d13_9d95_b3df,
    0x650a_7354_8baf_63de,
    0x766a_0abb_3c77_b2a8,
    0x81c2_c92e_47ed_aee6,
    0x9272_2c85_1482_353b,
    0xa2bf_e8a1_4cf1_0364,
    0xa81a_664b_bc42_3001,
    0xc24b_8b70_d0f8_9791,
    0xc76c_51a3_0654_be30,
    0xd192_e819_d6ef_5218,
    0xd699_0624_5565_a910,
    0xf40e_3585_5771_202a,
    0x106a_a070_32bb_d1b8,
    0x19a4_c116_b8d2_d0c8,
    0x1e37_6c08_5141_ab53,
    0x2748_774c_df8e_eb99,
    0x34b0_bcb5_e19b_48a8,
    0x391c_0cb3_c5c9_5a63,
    0x4ed8_aa4a_e341_8acb,
    0x5b9c_ca4f_7763_e373,
    0x682e_6ff3_d6b2_b8a3,
    0x748f_82ee_5def_b2fc,
    0x78a5_636f_4317_2f60,
    0x84c8_7814_a1f0_ab72,
    0x8cc7_0208_1a64_39ec,
    0x90be_fffa_2363_1e28,
    0xa450_6ceb_de82_bde9,
    0xbef9_a3f7_b2c6_7915,
    0xc671_78f2_e372_532b,
    0xca27_3ece_ea26_619c,
    0xd186_b8c7_21c0_c207,
    0xeada_7dd6_cde0_eb1e,
    0xf57d_4f7f_ee6e_d178,
    0x06f0_67aa_7217_6fba,
    0x0a63_7dc5_a2c8_98a6,
    0x113f_9804_bef9_0dae,
    0x1b71_0b35_131c_471b,
    0x28db_77f5_2304_7d84,
    0x32ca_ab7b_40c7_2493,
    0x3c9e_be0a_15c9_bebc,
    0x431d_67c4_9c10_0d4c,
    0x4cc5_d4be_cb3e_42b6,
    0x597f_299c_fc65_7e2a,
    0x5fcb_6fab_3ad6_faec,
    0x6c44_198c_4a47_5817,
]);
