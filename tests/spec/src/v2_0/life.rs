//! Life of the RMM: configuration, activation, deactivation.
//!
//! Source: chapter 4 of our notes on RMI 2.0.

use super::verdict::{Conditions, Names, ensure};
use super::words::{BUSY, GLOBAL, INPUT};
use super::{HostView, Latch, Model, Verdict, choices};

const CFG: Names = ["cfg_align", "cfg_bound", "cfg_pas"];

impl Model {
    /// Section 4.2.
    pub(crate) fn config_set(&self, cfg: u64, host: &dyn HostView) -> Verdict {
        let mut c = Conditions::new();
        let Some(page) = self.read_host(&mut c, CFG, cfg, host) else { return c.failure(&[]) };
        // A byte each; all other bytes are ignored (B-52).
        let [region, granule] = [page[0] & 0xff, page[1] & 0xff];
        let region_offered = region == 0 || region == 1 && choices::REGION_2M_OFFERED;
        c.fails("cfg_supp", granule != 0 || !region_offered, INPUT);
        c.or_succeeds(&[], [0; 4], move |model| model.config = [region, granule])
    }

    /// Section 4.2: in any state, the whole page.
    pub(crate) fn config_get(&self, cfg: u64) -> Verdict {
        let mut c = Conditions::new();
        let aligned = cfg.is_multiple_of(super::GRANULE);
        c.fails("cfg_align", !aligned, INPUT);
        c.fails("cfg_pas", !self.is_host_memory(cfg), INPUT);
        c.or_checked(&[], move |model, answer, host| {
            ensure(answer[1..4] == [0; 3], "X1 to X3 are 0")?;
            let page = host.after(cfg).ok_or("the page cannot be read")?;
            ensure(page[..2] == model.config, "the page says what is in force")?;
            ensure(page[2..].iter().all(|&word| word == 0), "the rest of the page is zero")
        })
    }

    /// Section 4.4: two values only.
    pub(crate) fn state_get(&self) -> Verdict {
        let state = if self.is_active { choices::STATE_ACTIVE } else { choices::STATE_INIT };
        Verdict::succeeds([state, 0, 0, 0], |_| {})
    }

    /// Section 4.5, in the order of 0.4: state (by dispatch), operations, granules.
    pub(crate) fn deactivate(&self) -> Verdict {
        let mut c = Conditions::new();
        c.fails("operation_live", !self.operations.is_empty(), BUSY);
        // Another command in execution is a REC that runs.
        c.fails("command_running", self.recs.values().any(|rec| rec.is_running), BUSY);
        c.fails("granule_state", !self.granules.is_empty(), GLOBAL);
        let order: super::verdict::Order =
            &[(&["operation_live", "command_running"], &["granule_state"])];
        c.or_succeeds(order, [0; 4], |model| {
            model.is_active = false;
            model.latch = Latch::None;
        })
    }
}
