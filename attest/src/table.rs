//! The multiples of the base point that [`crate::curve`] adds up: public constants, checked by a
//! test against the curve library.

use crate::curve::{Affine, COMBINATIONS};

/// Entry `i`: 2^320 G, plus or minus 2^(64 t) G for each tooth `t` from 0 to 4: plus if bit `t` of
/// `i` is set.
///
/// Coordinates are six words each, most significant first: x, then y.
#[rustfmt::skip]
pub(crate) static TABLE: [Affine; COMBINATIONS] = [
    Affine::new([
        0x1523_ee3f_a26e_617f, 0x6d7b_dd09_61e2_7dbe, 0x67e9_1103_f5bd_ecc8, 0xd3bb_e07d_18da_f95c,
        0xad98_7d77_65a7_1088, 0x736d_7103_4817_7996, 0x4603_8363_6d2e_6594, 0xb436_b924_6701_d405,
        0xd645_20f8_1ad3_969a, 0xaffe_e65d_fb73_b0c4, 0x857f_023b_16b9_9d38, 0x3bad_b8df_1683_8202,
    ]),
    Affine::new([
        0x5752_d5ab_2b11_6b8c, 0x6421_ce13_249b_58d0, 0x861b_e239_8a43_8ffc, 0x201a_2098_6734_707a,
        0xd7f4_1bee_6971_ae15, 0x0fa5_4a1d_f465_cc09, 0xda56_6342_97ed_6c8b, 0xb055_a8fb_1062_c681,
        0x2932_77df_d74a_afb9, 0xbcbf_a904_9c15_37ec, 0xb5de_4193_6ad4_14a0, 0xb2de_3b31_9b6a_91e6,
    ]),
    Affine::new([
        0x1f5f_6c75_04b4_21f1, 0x66aa_cb03_61cd_0573, 0xb2f8_4355_0142_d6a7, 0x64de_4ac3_f1cd_2725,
        0x93b1_a3fc_9407_18c2, 0xa1df_f8d9_fa7e_3940, 0xe716_6b67_8dd7_76e1, 0xc29b_c9f1_7db6_50d7,
        0x7a3a_93a6_aa97_3219, 0x3e60_da39_b372_0a13, 0x632e_d78e_7588_2370, 0x4a2f_a35e_4d8e_60c5,
    ]),
    Affine::new([
        0x2b5d_55a5_6f40_919f, 0x35fb_3617_d0d4_004d, 0x19a6_78ae_c4ff_c2cc, 0x9598_f8bc_f08f_4db0,
        0x117f_136c_4966_2642, 0xdcac_2969_54d3_4145, 0xaeb8_1faf_c1b3_1e28, 0xd0f0_d36b_280b_750f,
        0xf027_38d0_51d1_3350, 0xa513_be7f_2bc4_fe5b, 0x6907_41db_7d21_ddeb, 0xe9cb_5e0f_1cae_afc0,
    ]),
    Affine::new([
        0x13e9_845f_6cde_e76a, 0x3175_2998_c762_a644, 0xfeff_903a_6c4d_aa6f, 0x5622_7813_0ee9_7de6,
        0xa936_4e9c_5411_2a02, 0xdd34_9a15_ba41_e02a, 0xa040_f76a_8fff_f4d4, 0xe584_a013_ac22_9290,
        0x1814_729b_cff6_8404, 0x88b7_3f1c_8257_52e8, 0xa085_8e5a_a424_237a, 0xced8_053b_247b_e569,
    ]),
    Affine::new([
        0x2db9_308c_f4ee_4d24, 0x571e_03f3_1f0c_9317, 0x4752_277b_59c8_7768, 0xa08a_e3ba_bf59_8afc,
        0xc392_9299_f48a_1b77, 0xa2c6_cce2_4a93_b3a5, 0x3ca6_2666_4102_a803, 0xd668_4975_6494_6e39,
        0x1d7d_7efd_148b_f9ac, 0x5fb8_0136_4326_3033, 0xaa59_17cb_8472_e0c8, 0x1862_13a7_5a3b_94bd,
    ]),
    Affine::new([
        0xa967_08d5_1ec3_1e39, 0x0e5d_957d_ecc4_dfc0, 0x2be1_aae3_ae37_1f3c, 0x387a_4a8e_ef3c_ede8,
        0x0715_3467_f43d_54fb, 0x6f12_a6ed_b6e8_b756, 0x9415_05d5_573d_59d5, 0xf3ac_c441_2498_b705,
        0x3b38_7a2b_7282_eb3a, 0x2bc2_cebe_47c1_1d0c, 0xec71_9090_5f95_ad6a, 0x1bab_867c_689b_8724,
    ]),
    Affine::new([
        0x4a7d_d3d9_f1c5_ec53, 0x08d3_ce5f_3ba2_ef5a, 0xf3e8_2261_d096_0f45, 0xb66a_60bd_9e7b_cedc,
        0x7fdf_4f2b_7d49_145c, 0xc8dc_0d86_d2ad_bbc4, 0xa5aa_652e_8800_b328, 0x17f8_3b95_7e7e_f8b5,
        0x5f35_fa3c_b2e7_611f, 0xa6b2_bc1f_30ce_924e, 0x2138_d489_eeda_47d2, 0xc8fd_66b2_5230_30d4,
    ]),
    Affine::new([
        0x1d14_75e7_12ca_5915, 0x69ff_e305_f5d2_90af, 0x4763_3795_31c1_34dd, 0x4cb0_0aca_4af0_8277,
        0x2190_1e62_957f_0de6, 0xe2b3_57ae_63ed_4b94, 0xbf21_9279_1916_357d, 0xccb1_be41_ab3a_dec8,
        0xd44d_aec3_75e1_02b0, 0x5fd1_90ae_e13e_42cb, 0xec59_1d42_ebd2_9f49, 0x8c53_331a_b12c_8a2e,
    ]),
    Affine::new([
        0x192f_43fc_36b2_7662, 0xf6a6_f3cf_3717_ccee, 0x0f22_a9b7_2ac3_5c4d, 0x5147_4a75_4d36_1013,
        0x4328_8d6e_03db_497e, 0x7df3_5c69_f321_33f3, 0x3ae9_98d2_9eaf_e336, 0xeac6_cbc1_662c_d8bf,
        0x5294_081f_d456_198c, 0x8dda_8bf9_eeb3_a183, 0x534a_d43d_8578_7a6f, 0x7359_e029_e46f_977e,
    ]),
    Affine::new([
        0x45b0_d951_b174_7196, 0xb7fd_1359_255c_13e2, 0xf028_8e50_3041_fe09, 0x14e6_c88d_7757_3715,
        0x51eb_0c05_b931_5f9c, 0x1a45_ae81_0600_746f, 0x0e61_cb3c_8079_f2f0, 0xb821_1c18_3427_9ab9,
        0x5bf4_5c06_7398_a675, 0x7355_e923_2e38_a743, 0xc1e1_07f9_2481_8e6f, 0xb5b2_e2c9_484e_539e,
    ]),
    Affine::new([
        0x3928_c14b_d946_3b24, 0x2849_f17c_1a23_a254, 0x1021_879d_2b32_cf91, 0x2af2_e346_2b56_ab46,
        0x5b14_4060_1eed_708e, 0x4198_eae0_0611_4c4b, 0x8700_a8cc_7796_ddf3, 0x7e43_bfad_0074_35bb,
        0x1076_eea8_4186_190f, 0xcd28_2525_2bf8_d7a6, 0x94c0_2505_0918_8f9b, 0x6f92_0d46_dab7_be57,
    ]),
    Affine::new([
        0xcdff_4a3a_e3d1_367f, 0xa7ce_09c0_568b_db78, 0x4860_de2f_e3c2_d82b, 0x6970_dfec_a730_1b58,
        0x52f9_fae7_b09a_e3a3, 0x4bff_1f0c_2a4b_425d, 0x4fb2_95a1_77f1_d02a, 0x6f06_1d45_a1c0_afe7,
        0xd98d_0357_985a_1ea6, 0x54cc_32cb_d62a_1b51, 0x3df3_a157_9a9e_9539, 0x771c_a1b5_282c_b192,
    ]),
    Affine::new([
        0x8b45_5c20_0550_60ab, 0x534e_9824_1088_3deb, 0xc891_5543_ec43_15b0, 0x4dfe_7ff2_bdb1_7841,
        0x9450_cc34_4650_dce1, 0xc337_e6ed_8d37_6693, 0x1a50_7436_20b0_fbd3, 0x0182_e8f9_fa81_0565,
        0x7c6b_b321_da8d_7398, 0xc5e7_013c_84db_de9e, 0x1f2c_cec4_8cd1_e61a, 0x4e10_f569_5a8a_d600,
    ]),
    Affine::new([
        0xe6ba_9ac1_f2bf_240e, 0xf735_a883_0b56_df44, 0x7406_2097_dd1c_e238, 0x3bc2_8cc0_bf4d_6c7f,
        0xf1fd_e9fd_f772_2982, 0xc736_009a_e697_aa8f, 0x9b3b_a48f_a283_6ea4, 0x4336_9b68_ac91_b094,
        0x8250_f7b0_2dc8_c4dd, 0x49eb_12e2_1cc6_4270, 0x35f5_b38b_2d2a_3fb9, 0xd7fc_4789_2aee_ef4d,
    ]),
    Affine::new([
        0x8c8d_4df3_0996_30cd, 0xb17c_93b6_bd34_70be, 0x2516_6916_c62e_0469, 0x961e_5a76_6dd5_475d,
        0x3af0_e8e1_04a2_0481, 0x62d3_84ab_929b_1d97, 0x3395_bcea_88ad_ca34, 0x4427_d7a4_4bf3_4c59,
        0xec6f_258a_1a5d_8694, 0x6209_9df4_238a_b24e, 0x4385_4e73_9745_f3b5, 0x420d_2e82_9c2d_3183,
    ]),
    Affine::new([
        0xeb91_c434_e6f7_2593, 0x94e7_112b_740d_00f0, 0x6072_ccc0_4bf5_f1c5, 0x7b7e_f4e3_306e_39b0,
        0xb699_8001_7197_9b46, 0x7467_e67a_afca_9d0f, 0x93f2_5e00_17a5_c347, 0xf766_b647_5c7f_4999,
        0x8d33_c862_2838_ca30, 0x9459_faf8_32d7_9477, 0x4eb2_5110_a1c9_f321, 0x8aae_0c05_0579_7a72,
    ]),
    Affine::new([
        0x4f11_d80a_1f22_633c, 0x8039_056c_b6cb_719d, 0xa419_c36a_a3cd_3028, 0x0853_75c7_5a87_8dde,
        0x782e_d7c6_6d0b_2114, 0x7993_f27b_7e74_c0e6, 0x6dd4_2be5_b15e_0091, 0xadbf_b083_108b_b94a,
        0xe8cf_b82f_11e8_df79, 0x5308_15c0_352a_05be, 0xa2ed_9cdc_3061_185f, 0x30d5_078b_1830_af27,
    ]),
    Affine::new([
        0x8a88_025f_a35d_b04a, 0xba50_1b95_9634_f5a8, 0x521c_6f42_f5cd_cc37, 0x5165_105d_9785_1456,
        0x0e66_b24d_6db3_1929, 0x3ab3_a56c_ec43_8965, 0xc2cb_6e1e_361b_66af, 0x07c5_f1bb_4d8a_d001,
        0xf9b8_aed0_a588_feea, 0x30ad_3039_9674_ba14, 0x12b2_98b1_4122_f992, 0xb62d_5180_e0b1_ce9a,
    ]),
    Affine::new([
        0xe439_3635_b575_c126, 0xdf8a_7b21_a994_caab, 0xc7c2_7560_1c73_2856, 0xfec7_cbaf_fe6a_0c81,
        0x7ecb_661a_2e0a_bcbe, 0x0ca9_0573_fc5e_adde, 0x8f79_786b_8614_875b, 0xa587_78d7_fe83_9414,
        0x4b05_6ab4_baf0_1965, 0x4250_725c_7cc8_86e9, 0x3f04_7604_4a3a_2f3e, 0x04da_1f17_6c34_a9ba,
    ]),
    Affine::new([
        0xd17d_a6b7_f0cf_5f8b, 0x9d7d_db96_2a01_e958, 0x6627_2f7c_71a8_82de, 0x74de_442c_5de8_5a38,
        0x266c_6f16_1234_3c5b, 0x11a1_872e_ac7f_4dd3, 0x4324_7c98_adad_4405, 0x42f7_1154_bd4d_ce87,
        0xd2ad_cf06_e139_3ac0, 0xc419_29fd_9e63_00a8, 0x13d2_74c0_f13f_f72d, 0xe42f_00d5_a812_a573,
    ]),
    Affine::new([
        0x4731_131d_70f6_5060, 0x1f84_b53d_6eed_a81d, 0x82e9_3fb0_667e_76aa, 0x8573_ba0b_8569_cf14,
        0x9b1d_9c54_8689_026b, 0x3ee9_efcb_3d4f_2858, 0x5516_b26c_7493_18bd, 0x9109_770a_65dd_aa4e,
        0x82f4_6823_604b_b6cf, 0xf911_c476_7a32_8b8c, 0xc535_7f0c_9c02_6f60, 0x8e0f_5e45_358d_9341,
    ]),
    Affine::new([
        0x7bb5_e87e_6e9f_6e42, 0xa0a7_b6d8_0794_5015, 0x15e6_1ba1_f5c5_dcf2, 0x5186_81de_85d7_81ff,
        0x8265_d724_1b49_2035, 0x9a51_4d3d_721f_517f, 0xb137_9a74_3c11_43fd, 0xb594_3998_51d9_147b,
        0x1346_bcf3_3931_e3f6, 0x49f2_bc39_88f8_d5b6, 0x9895_0516_6c73_f367, 0x443a_08e3_a2b0_af9d,
    ]),
    Affine::new([
        0xb3a4_f3db_85f8_ae6f, 0x262e_1899_b2c1_d01a, 0xc5e6_f92b_8839_147b, 0x9eb3_0b42_43e6_ecea,
        0xd878_74cb_7c2e_6d3f, 0x3639_c91b_f9e8_20b2, 0x3201_8bea_1e7c_e1fd, 0x01a1_8f52_2c74_be4c,
        0x4289_9ac8_3a05_3313, 0x9f35_0759_bf8e_612c, 0x2c5d_5765_3084_9d42, 0x699b_0557_4af0_b94e,
    ]),
    Affine::new([
        0x0dd4_cb6b_3942_f3a2, 0x771f_f62e_9ad6_503a, 0xcd30_5b87_3a6b_26fd, 0x42ce_b71e_d18c_1729,
        0x7314_cf59_5a1f_8a7d, 0x566e_5313_b1be_1829, 0x0647_cd6f_152a_6673, 0x28a4_c27d_fd3a_ef60,
        0xa047_8832_7b3f_0f75, 0x5527_84ec_dc5a_3b4a, 0xf9bb_b2be_6766_c6de, 0xab5d_90e3_2cde_42c1,
    ]),
    Affine::new([
        0x2cdf_b597_1238_ab0f, 0xbbba_7e95_f60b_e2d4, 0x4c3e_0c75_5a3f_a1d8, 0xf21d_6dd3_ba37_4fbe,
        0xb377_51fe_390d_0cb2, 0x9017_bbf2_96fd_b3f0, 0x40e9_72ef_287c_400d, 0x6a6b_6741_021b_94f9,
        0x9811_1ce5_653d_72ca, 0x91bd_b770_4d8c_9451, 0xf409_bed0_35ae_5c2a, 0x35c5_cbd8_8ca0_4364,
    ]),
    Affine::new([
        0xb55c_73a2_7677_929d, 0xac5e_4e83_f857_7059, 0xa6c4_f78e_6ad2_0947, 0xd50b_26e5_5eea_467c,
        0x7eb6_f072_930b_7d3e, 0x3921_bff4_656f_104d, 0x7e2f_8805_b46e_be7f, 0x06db_2c9f_36d5_1245,
        0xff49_538b_f3d4_41f5, 0x87eb_1a7f_aaaf_ab70, 0xb387_bc8b_cda7_6d12, 0x02c9_4b68_955e_2caa,
    ]),
    Affine::new([
        0xdc06_3293_2a61_d44a, 0x77d5_e335_e06d_38ef, 0xbed7_ec32_0446_4b8d, 0xc97e_5d78_36b0_d288,
        0x86ce_4fd0_8354_4604, 0x3aba_4b75_d8b1_3aab, 0x429e_ef82_b761_2fbd, 0x76bf_8b3d_9886_7649,
        0x5e60_a479_e8a6_877e, 0x3949_9f65_cc8f_87e1, 0x8ba4_934b_bccb_8a54, 0x75a7_e227_e9c9_ad34,
    ]),
    Affine::new([
        0xce19_53b7_6c8c_0b44, 0x45ad_a0b1_a62b_81ec, 0xd6ae_0c69_b464_def1, 0x02a2_4599_43b5_42e0,
        0x41ea_5a10_4448_729e, 0x6e60_8519_674e_3445, 0x3d45_8e9b_0e99_9437, 0xe261_d91c_c64d_730b,
        0x24ba_8095_7593_9ae0, 0xf36c_37c0_8f0e_4fa6, 0x0015_9ef8_b15f_55f2, 0xe781_7477_488d_dc05,
    ]),
    Affine::new([
        0x1e5d_cc63_6b86_de95, 0xf00d_7e13_d75a_a076, 0x4ea0_a91f_275d_d435, 0x872b_8e55_9032_3038,
        0xa72e_dcd2_3b7b_bd78, 0x0bd8_7ed7_76d0_cfb6, 0x9703_9233_04fb_b24a, 0x460f_7ba0_1ec4_b2e9,
        0xa42c_19e8_ca01_4c59, 0xe9a3_06d8_334c_870d, 0x3c29_251e_6c17_32f9, 0x469b_b2b1_9732_53e5,
    ]),
    Affine::new([
        0x9cf8_77a3_725b_23a8, 0xe8b2_d62f_df97_a151, 0x0f47_35fc_8b0b_9714, 0x9e02_d904_833e_e21c,
        0xb61f_54fd_7aec_197c, 0xd496_66ec_8361_30c3, 0xdc9e_0ec3_7bed_de54, 0x809b_7149_96f7_a1a7,
        0x4050_488f_9374_c981, 0x032d_742b_4624_f282, 0x0928_c970_3097_9b96, 0x82d5_7ea7_27a5_b4d4,
    ]),
    Affine::new([
        0x0b63_5399_34d1_6b96, 0xfee7_7ee2_fcad_95b0, 0x9c99_cd5a_13b5_a1e8, 0xbfba_e8c8_48a4_0004,
        0xff56_5aad_b6b7_2bf0, 0x0399_5fe7_2c3f_c486, 0x419e_8889_adae_97b4, 0xa5f0_b69b_fe41_4395,
        0xc9e2_b6e1_0761_ae3a, 0x7aaf_003b_3091_c681, 0x604d_8349_d5d0_854e, 0x2801_ab2b_5d77_8a19,
    ]),
];
