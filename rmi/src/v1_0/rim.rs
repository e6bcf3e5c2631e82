//! What of a Realm's parameters starts its RIM: a page in which only the measured fields are set,
//! at their places.

use machine::addr::{PAGE_BYTES, PAGE_WORDS};

use crate::pages::RealmParams;
use crate::words::AbiWords;

impl RealmParams {
    /// The page that enters the RIM: only the measured fields, at their places.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.9.4.
    pub(super) fn measured(&self) -> [u8; PAGE_BYTES] {
        let mut page = AbiWords::<PAGE_WORDS>::zeroed();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_measured_fields_are_in_the_measured_page() {
        let realm = RealmParams(AbiWords([u64::MAX; PAGE_WORDS]));
        let measured = realm.measured();
        assert_eq!(measured[..9], [0xff; 9]);
        assert_eq!(measured[9..16], [0; 7]);
        assert!(measured[0x38..].iter().all(|&byte| byte == 0));
    }
}
