//! The commands that only version 1.0 has, or has with other registers.

use crate::rmi::command::commands;

commands! {
    0xC400_0151 GRANULE_DELEGATE 1;
    0xC400_0152 GRANULE_UNDELEGATE 1;
    0xC400_0153 DATA_CREATE 5;
    0xC400_0154 DATA_CREATE_UNKNOWN 3;
    0xC400_0155 DATA_DESTROY 2;
    0xC400_015F RTT_MAP_UNPROTECTED 4;
    0xC400_0162 RTT_UNMAP_UNPROTECTED 3;
    0xC400_0164 PSCI_COMPLETE 3;
    0xC400_0167 REC_AUX_COUNT 1;
}
