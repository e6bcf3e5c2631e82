//! What of the Host's parameters enters the RIM: pages in which only the measured fields are set, at their places.

use super::pages::{RealmParams, RecParams};
use crate::words::AbiWords;

impl RealmParams {
    /// The page that enters the RIM: only the measured fields, at their places.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.9.4.
    pub(super) fn measured(&self) -> [u8; 4096] {
        let mut page = AbiWords::<512>::zeroed();
        page.set_u64_at::<0x0>(self.flags());
        page.set_u64_at::<0x8>(self.0.u64_at::<0x8>() & 0xff);
        page.set_u64_at::<0x10>(self.0.u64_at::<0x10>() & 0xff);
        page.set_u64_at::<0x18>(self.0.u64_at::<0x18>() & 0xff);
        page.set_u64_at::<0x20>(self.0.u64_at::<0x20>() & 0xff);
        page.set_u64_at::<0x28>(self.0.u64_at::<0x28>() & 0xff);
        page.set_u64_at::<0x30>(self.0.u64_at::<0x30>() & 0xff);
        zerocopy::transmute!(page.0)
    }
}

impl RecParams {
    /// The page that enters the RIM: only the measured fields, at their places.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.12.4.
    pub(super) fn measured(&self) -> [u8; 4096] {
        let mut page = AbiWords::<512>::zeroed();
        page.set_u64_at::<0x0>(self.flags());
        page.set_u64_at::<0x200>(self.pc());
        page.set_words_at::<0x300, 8>(&self.gprs());
        zerocopy::transmute!(page.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_measured_fields_are_in_the_measured_pages() {
        let realm = RealmParams(AbiWords([u64::MAX; 512]));
        let measured = realm.measured();
        assert_eq!(measured[..9], [0xff; 9]);
        assert_eq!(measured[9..16], [0; 7]);
        assert!(measured[0x38..].iter().all(|&byte| byte == 0));
        let rec = RecParams(AbiWords([u64::MAX; 512]));
        let set: Vec<usize> = (0..4096).filter(|&at| rec.measured()[at] != 0).collect();
        assert_eq!(set.len(), 8 + 8 + 64);
    }
}
