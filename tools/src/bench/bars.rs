//! What operations should cost at most, and what they cost in the reference monitor.

/// The bar of one operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bar {
    /// The operation.
    pub name: &'static str,
    /// What it costs in the reference monitor (TF-RMM, best build, same method, under TF-A).
    pub reference: Option<u64>,
    /// Most instructions under TF-A.
    pub instructions: Option<u64>,
    /// Most instructions of the monitor alone.
    pub own: Option<u64>,
    /// Most calls of the host.
    pub smcs: Option<u64>,
}

impl Bar {
    /// The usual one.
    pub(super) const fn of(name: &'static str, reference: u64, most: u64) -> Self {
        Self { reference: Some(reference), ..Self::unmeasured(name, most) }
    }

    /// Of what the reference monitor was not measured with.
    const fn unmeasured(name: &'static str, most: u64) -> Self {
        Self { name, reference: None, instructions: Some(most), own: None, smcs: None }
    }

    /// Of the monitor's part alone.
    const fn own(name: &'static str, own: u64) -> Self {
        Self { name, reference: None, instructions: None, own: Some(own), smcs: None }
    }

    /// As the table shows it.
    pub(super) fn text(&self) -> String {
        let instructions = self.instructions.map(|most| most.to_string());
        let own = self.own.map(|own| format!("own {own}"));
        let smcs = self.smcs.map(|smcs| format!("{smcs} SMCs"));
        [instructions, own, smcs].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// Bars in the order of a table. Rows without one come last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bars(pub &'static [Bar]);

impl Bars {
    /// That of an operation.
    pub(super) fn of(self, name: &str) -> Option<&'static Bar> {
        self.0.iter().find(|bar| bar.name == name)
    }
}

/// Of version 1.0 of the interface.
pub(super) const V1_0: Bars = Bars(&[
    Bar::of("rmi_version", 1_212, 1_190),
    Bar::of("granule_delegate", 2_796, 2_200),
    Bar::of("granule_undelegate", 2_240, 2_350),
    Bar::of("data_create_measured", 24_438, 10_000),
    Bar::of("data_create_unmeasured", 8_335, 2_600),
    Bar::of("data_create_unknown", 2_955, 1_800),
    Bar::of("data_destroy", 3_262, 2_000),
    Bar::of("granule_cycle", 10_953, 7_300),
    Bar::of("rtt_create_l3", 3_376, 2_000),
    Bar::of("rtt_unfold_2m", 5_298, 3_200),
    Bar::of("rtt_fold_512", 12_767, 3_200),
    Bar::unmeasured("rtt_fold_refused", 1_500),
    Bar::of("rtt_destroy_l3", 9_088, 2_500),
    Bar::of("rtt_destroy_l3_live", 9_092, 2_400),
    Bar::unmeasured("rtt_destroy_l0_lpa2", 2_500),
    Bar::of("rtt_read_entry", 2_527, 1_500),
    Bar::of("rtt_map_unprotected", 2_296, 1_600),
    Bar::of("rtt_unmap_unprotected", 8_426, 2_600),
    Bar::of("rtt_unmap_unprotected_live", 8_430, 2_300),
    Bar::of("init_ripas_per_page", 2_330, 700),
    Bar::unmeasured("init_ripas_refused", 1_500),
    Bar::of("realm_create", 22_176, 12_000),
    Bar::of("realm_activate", 1_520, 1_400),
    Bar::of("rec_create", 29_163, 12_000),
    Bar::of("rec_destroy", 11_361, 4_000),
    Bar::of("rec_enter_host_call", 13_633, 3_000),
    Bar::of("rec_enter_abort", 9_964, 2_900),
    Bar::of("rsi_version", 282, 150),
    Bar::of("rsi_ipa_state_get", 1_359, 500),
    Bar::of("rsi_measurement_extend", 2_701, 1_400),
    Bar::unmeasured("set_ripas_1g_2m_blocks", 20_000),
    Bar::unmeasured("set_ripas_1g_1g_block", 5_000),
    Bar::of("attest_token_init", 14_459, 7_000),
    Bar::of("attest_token", 20_534_911, 4_000_000),
    Bar::unmeasured("attest_slice", 50_000),
    // 0.85 of `populate_from_copy`.
    Bar::unmeasured("populate_in_place", 10_109),
]);

/// Of version 2.0.
pub(super) const V2_0: Bars = Bars(&[
    Bar { own: Some(130_000), smcs: Some(4), ..Bar::of("range_delegate_2m", 1_264_165, 620_000) },
    Bar { own: Some(60_000), smcs: Some(4), ..Bar::of("range_undelegate_2m", 1_574_479, 560_000) },
    Bar::own("range_delegate_2m_counted", 60_000),
    Bar::own("range_undelegate_2m_counted", 12_000),
    Bar::of("range_delegate_1", 2_467, 2_350),
    Bar::of("range_undelegate_1", 3_073, 2_150),
    Bar::of("data_map_2m_block", 352_601, 8_000),
    Bar::of("data_map_2m_pages", 486_791, 40_000),
    Bar::of("data_unmap_2m_block", 98_436, 60_000),
    Bar::of("data_unmap_2m_pages", 305_897, 80_000),
    Bar::of("data_map_page", 4_951, 1_800),
    Bar::of("data_unmap_page", 17_720, 2_100),
    Bar { smcs: Some(2_600), ..Bar::of("populate_1g", 830_000_000, 330_000_000) },
    Bar { smcs: Some(2_600), ..Bar::of("destroy_1g", 855_000_000, 325_000_000) },
    Bar::of("data_map_init_measured", 28_374, 9_200),
    Bar::of("data_map_init_unmeasured", 9_278, 2_600),
    Bar::of("realm_create", 57_796, 12_000),
    Bar::of("rec_create", 58_148, 17_000),
    Bar::of("rec_destroy", 9_355, 6_500),
    Bar::of("realm_terminate", 1_644, 1_450),
    Bar::of("realm_destroy", 1_853, 1_700),
    Bar::of("rec_enter_host_call", 13_653, 3_200),
    Bar::of("rtt_fold_512", 21_540, 3_000),
    Bar::of("set_ripas_2m_block", 3_306, 1_800),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_has_one_bar() {
        for bars in [V1_0, V2_0] {
            let mut names: Vec<&str> = bars.0.iter().map(|bar| bar.name).collect();
            names.sort_unstable();
            assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        }
    }

    #[test]
    fn the_text_has_what_there_is() {
        assert_eq!(V2_0.of("range_delegate_2m").unwrap().text(), "620000, own 130000, 4 SMCs");
        assert_eq!(V2_0.of("range_undelegate_2m_counted").unwrap().text(), "own 12000");
    }
}
