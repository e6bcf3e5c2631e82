//! A token for people: every claim on a line.

use std::fmt::Write;

use super::cbor::{Value, hex};
use super::container::Token;
use super::realm::Profile;

/// Labels of claims that this tool knows; it shows the others by number.
const KNOWN: [i128; 18] = [
    10, 256, 265, 2395, 2396, 2399, 2400, 2401, 2402, 44235, 44236, 44237, 44238, 44239, 44240,
    44234, 44241, 44243,
];

/// The claims of both parts, verified or not.
pub(super) fn show(token: &Token) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<26} {}", printable(value));
    };
    let platform = &token.platform;
    line("PLATFORM", "");
    line("profile", &platform.profile);
    line("challenge", &hex(&platform.challenge));
    line("implementation ID", &hex(&platform.implementation_id));
    line("instance ID", &hex(&platform.instance_id));
    line("configuration", &hex(&platform.configuration));
    let lifecycle = format!("{:#06x} ({})", platform.lifecycle, platform.lifecycle_name());
    line("lifecycle", &lifecycle);
    line("verification service", platform.service.as_deref().unwrap_or("-"));
    line("hash algorithm", &platform.algorithm);
    for (number, component) in platform.components.iter().enumerate() {
        line(&format!("software component {number}"), &component.line());
        let algorithm = component.algorithm.as_deref().unwrap_or(&platform.algorithm);
        line("", &format!("signed by {}, {algorithm}", hex(&component.signer)));
    }
    for (name, value) in others(&token.platform_signed.claims) {
        line(&name, &value);
    }
    let realm = &token.realm;
    line("REALM", "");
    line("profile", realm.profile.map_or("-", Profile::name));
    line("challenge", &hex(&realm.challenge));
    if let Some(instance) = &realm.instance {
        line("instance ID", &hex(&instance.id));
        let policy = if instance.private_encryption { "private" } else { "shared" };
        line("memory encryption", policy);
    }
    let value = &realm.personalization_value;
    line("personalization value", &format!("{}{}", hex(value), text_of(value)));
    line("hash algorithm", &realm.algorithm);
    line("initial measurement (RIM)", &hex(&realm.initial_measurement));
    for (number, measurement) in realm.extensible_measurements.iter().enumerate() {
        line(&format!("extensible measurement {}", number + 1), &hex(measurement));
    }
    line("public key", &hex(&realm.public_key));
    line("public key hash algorithm", &realm.key_hash_algorithm);
    for (name, value) in others(&token.realm_signed.claims) {
        line(&name, &value);
    }
    text
}

/// A text of a token as one line that does nothing to a terminal.
fn printable(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        match c {
            '\\' | '"' | '\'' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// Claims that this tool does not know.
fn others(
    claims: &std::collections::BTreeMap<i128, Value>,
) -> impl Iterator<Item = (String, String)> {
    let unknown = claims.iter().filter(|(label, _)| !KNOWN.contains(label));
    unknown.map(|(label, value)| (format!("claim {label}"), value.to_string()))
}

/// Bytes that are a text followed by zeros, as that text.
fn text_of(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let text = bytes.get(..end).and_then(|text| std::str::from_utf8(text).ok());
    let printable = |text: &&str| !text.is_empty() && text.chars().all(|c| !c.is_control());
    text.filter(printable).map_or(String::new(), |text| format!(" ({text:?})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::sample::Sample;

    #[test]
    fn every_claim_of_both_parts_is_shown() {
        let token = Token::decode(&Sample::default().token()).unwrap();
        let text = show(&token);
        for value in [
            "tag:arm.com,2023:cca_platform#1.0.0",
            "0x3003 (secured)",
            "636667",
            "RMM (no version), 0505",
            "tag:arm.com,2023:realm#1.0.0",
            &"11".repeat(32),
            &"33".repeat(64),
            "(\"DDDD",
        ] {
            assert!(text.contains(value), "{value} is not in\n{text}");
        }
    }

    #[test]
    fn a_text_cannot_move_the_cursor_or_add_a_line() {
        let plain = show(&Token::decode(&Sample::default().token()).unwrap());
        let component = "\x1b[2K\rRMM\nlifecycle 0x3003 \u{9b}1A\u{202e}";
        let sample = Sample { component, ..Sample::default() };
        let text = show(&Token::decode(&sample.token()).unwrap());
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert_eq!(text.lines().count(), plain.lines().count());
        assert!(text.contains(r"\u{1b}[2K\rRMM\nlifecycle 0x3003 \u{9b}1A\u{202e}"), "{text}");
    }
}
