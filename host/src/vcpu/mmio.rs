//! Accesses of the guest to its devices.

use super::run::Context;
use crate::ipa;

/// A device, with the offset into its window.
enum Device {
    Uart(u64),
    Rng(u64),
    Distributor(u64),
    Redistributor(u64),
}

fn find(context: &Context<'_>, address: u64) -> Option<Device> {
    let address = ipa::device_address(address);
    let cpus = context.realm.vcpus.len() as u64;
    let offset = |base: u64, size: u64| address.checked_sub(base).filter(|offset| *offset < size);
    if let Some(offset) = offset(ipa::UART_BASE, ipa::UART_SIZE) {
        Some(Device::Uart(offset))
    } else if let Some(offset) = offset(ipa::VIRTIO_BASE, ipa::VIRTIO_SIZE) {
        Some(Device::Rng(offset))
    } else if let Some(offset) = offset(ipa::GICD_BASE, ipa::GICD_SIZE) {
        Some(Device::Distributor(offset))
    } else {
        offset(ipa::GICR_BASE, ipa::GICR_STRIDE * cpus).map(Device::Redistributor)
    }
}

/// The guest reads `size` bytes. An unknown address reads as zero.
pub(super) fn read(context: &Context<'_>, address: u64, size: u64) -> u64 {
    let realm = context.realm;
    match find(context, address) {
        Some(Device::Uart(offset)) => {
            let (value, set) = {
                // Held until the line is set: it must not be that of an earlier state.
                let mut uart = realm.uart.lock();
                let value = uart.read(offset);
                (value, realm.vgic.lock().set_spi(ipa::UART_INTID, uart.interrupt()))
            };
            context.kick_others(set);
            u64::from(value)
        }
        Some(Device::Rng(offset)) => u64::from(realm.rng.lock().read(offset)),
        Some(Device::Distributor(offset)) => realm.vgic.lock().read_distributor(offset, size),
        Some(Device::Redistributor(offset)) => realm.vgic.lock().read_redistributor(offset, size),
        None => {
            log_unknown(context, "read from", address);
            0
        }
    }
}

/// The guest writes `size` bytes. An unknown address ignores them.
pub(super) fn write(context: &Context<'_>, address: u64, size: u64, value: u64) {
    let realm = context.realm;
    let set = match find(context, address) {
        Some(Device::Uart(offset)) => {
            let (sent, set) = {
                let mut uart = realm.uart.lock();
                let sent = uart.write(offset, (value & 0xff) as u8);
                (sent, realm.vgic.lock().set_spi(ipa::UART_INTID, uart.interrupt()))
            };
            if let Some(byte) = sent {
                realm.console_write(context.host, byte);
            }
            set
        }
        Some(Device::Rng(offset)) => {
            let value = (value & 0xffff_ffff) as u32;
            let mut rng = realm.rng.lock();
            realm.with_shared(context.host, |memory| rng.write(offset, value, memory));
            realm.vgic.lock().set_spi(ipa::VIRTIO_INTID, rng.interrupt())
        }
        Some(Device::Distributor(offset)) => {
            realm.vgic.lock().write_distributor(offset, size, value)
        }
        Some(Device::Redistributor(offset)) => {
            realm.vgic.lock().write_redistributor(offset, size, value)
        }
        None => {
            log_unknown(context, "write to", address);
            0
        }
    };
    context.kick_others(set);
}

fn log_unknown(context: &Context<'_>, what: &str, address: u64) {
    if context.realm.first_unknown_access(address) {
        context.host.log(format_args!("{what} the unknown device address {address:#x}"));
    }
}
