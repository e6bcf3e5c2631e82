//! One interrupt: what is remembered of it while it is in no list register.

/// State of one interrupt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Irq {
    /// The guest wants it.
    pub enabled: bool,
    /// A rising edge makes it pending; otherwise its level does.
    pub edge: bool,
    /// Priority, 0 is the highest.
    pub priority: u8,
    /// Level of the line.
    pub line: bool,
    /// Pending whatever the level: an edge, a software interrupt, a write to a pending register.
    pub latch: bool,
    /// Taken by the guest and not finished.
    pub active: bool,
    /// `GICD_IROUTER`, of shared interrupts.
    pub route: u64,
    /// CPU that took it and has not finished.
    pub home: Option<usize>,
    /// CPU in whose list registers it is now.
    pub holder: Option<usize>,
    /// The latch as it was when the interrupt went into a list register.
    pub held_latch: bool,
}

impl Irq {
    pub(super) const fn new(edge: bool) -> Self {
        Self {
            enabled: false,
            edge,
            priority: 0,
            line: false,
            latch: false,
            active: false,
            route: 0,
            home: None,
            holder: None,
            held_latch: false,
        }
    }

    /// Sets the level of the line; `true` if the interrupt may have become deliverable.
    pub(super) fn set_line(&mut self, level: bool) -> bool {
        let rose = level && !self.line;
        self.line = level;
        if rose && self.edge {
            self.latch = true;
        }
        rose
    }

    pub(super) const fn pending(&self) -> bool {
        self.latch || (!self.edge && self.line)
    }

    /// Pending, enabled, and not being handled already.
    pub(super) const fn wants_delivery(&self) -> bool {
        self.pending() && self.enabled && !self.active && self.holder.is_none()
    }
}
