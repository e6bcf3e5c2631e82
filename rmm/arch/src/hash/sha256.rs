//! SHA-256 with the CPU's instructions.

use core::arch::global_asm;

global_asm!(
    r#"
    .arch_extension fp
    .arch_extension simd
    .arch_extension sha2

    // Four rounds with the constants in v\k and message words v\m0; v\m0 becomes the words four
    // vectors on.
    .macro sha256_quad k, m0, m1, m2, m3
    add     v8.4s, v\m0\().4s, v\k\().4s
    mov     v9.16b, v0.16b
    sha256h q0, q1, v8.4s
    sha256h2 q1, q9, v8.4s
    sha256su0 v\m0\().4s, v\m1\().4s
    sha256su1 v\m0\().4s, v\m2\().4s, v\m3\().4s
    .endm

    // Four rounds whose message words are the last.
    .macro sha256_last k, m0
    add     v8.4s, v\m0\().4s, v\k\().4s
    mov     v9.16b, v0.16b
    sha256h q0, q1, v8.4s
    sha256h2 q1, q9, v8.4s
    .endm

    .section .text.cairn_sha256, "ax"
    .balign 64
    .global cairn_sha256
    // x0: digest, 32 bytes; x1, x2: blocks of 64 bytes and their number; x3: constants; x4, x5: the
    // last blocks, one or two.
cairn_sha256:
    ld1     {{v0.4s, v1.4s}}, [x3], #32
    ld1     {{v16.4s-v19.4s}}, [x3], #64
    ld1     {{v20.4s-v23.4s}}, [x3], #64
    ld1     {{v24.4s-v27.4s}}, [x3], #64
    ld1     {{v28.4s-v31.4s}}, [x3]
    cbz     x2, 2f
1:  ld1     {{v4.16b-v7.16b}}, [x1], #64
    rev32   v4.16b, v4.16b
    rev32   v5.16b, v5.16b
    rev32   v6.16b, v6.16b
    rev32   v7.16b, v7.16b
    mov     v2.16b, v0.16b
    mov     v3.16b, v1.16b
    sha256_quad 16 4 5 6 7
    sha256_quad 17 5 6 7 4
    sha256_quad 18 6 7 4 5
    sha256_quad 19 7 4 5 6
    sha256_quad 20 4 5 6 7
    sha256_quad 21 5 6 7 4
    sha256_quad 22 6 7 4 5
    sha256_quad 23 7 4 5 6
    sha256_quad 24 4 5 6 7
    sha256_quad 25 5 6 7 4
    sha256_quad 26 6 7 4 5
    sha256_quad 27 7 4 5 6
    sha256_last 28 4
    sha256_last 29 5
    sha256_last 30 6
    sha256_last 31 7
    add     v0.4s, v0.4s, v2.4s
    add     v1.4s, v1.4s, v3.4s
    subs    x2, x2, #1
    b.ne    1b
2:  mov     x1, x4
    mov     x2, x5
    mov     x5, #0
    cbnz    x2, 1b
    rev32   v0.16b, v0.16b
    rev32   v1.16b, v1.16b
    st1     {{v0.16b, v1.16b}}, [x0]
    ret
    .arch_extension nosha2
    .arch_extension nosimd
    .arch_extension nofp
    "#
);

unsafe extern "C" {
    /// SHA-256 of `blocks` blocks and then `last_blocks` more.
    ///
    /// # Safety
    ///
    /// The SIMD unit is open and V0 to V31 are saved; `digest` takes 32 bytes, `message` is `blocks
    /// * 64` bytes, `last` is `last_blocks * 64` bytes, `constants` are [`CONSTANTS`].
    fn cairn_sha256(
        digest: *mut u8,
        message: *const u8,
        blocks: usize,
        constants: *const [u32; 72],
        last: *const u64,
        last_blocks: usize,
    );
}

/// SHA-256 of a message whose last one or two blocks, the padding included, are `last`.
///
/// # Safety
///
/// The SIMD unit is open, V0 to V31 are saved, and the CPU has FEAT_SHA256.
#[inline(always)]
pub(super) unsafe fn digest(blocks: &[[u8; 64]], last: &[[u64; 8]]) -> [u8; 32] {
    let mut digest = [0; 32];
    let (message, tail) = (blocks.as_ptr().cast(), last.as_ptr().cast());
    // SAFETY: lengths by type; the unit is the caller's by this function's contract.
    unsafe {
        cairn_sha256(
            digest.as_mut_ptr(),
            message,
            blocks.len(),
            &raw const CONSTANTS,
            tail,
            last.len(),
        );
    }
    digest
}

/// The initial state and the round constants. Source: FIPS 180-4, 5.3.3 and 4.2.2.
static CONSTANTS: [u32; 72] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];
