//! The machine's own apt sources, read to learn where its Debian archive is and which keys vouch
//! for it.
//!
//! Both formats are understood: one line per source (`*.list`) and deb822 stanzas (`*.sources`).
//! Private source lists are always written as deb822, which can carry an inline key.

use std::path::Path;

use anyhow::{Context, bail};

use crate::fault::IoContext;

/// One source, whichever format it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Source {
    types: Vec<String>,
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    /// Fields that say how to trust and reach the archive, carried over as they are.
    trust: Vec<(String, String)>,
}

/// Options that are carried over: deb822 names; the one-line names are the same in lower case.
const TRUST_FIELDS: [&str; 6] =
    ["Signed-By", "Trusted", "Check-Valid-Until", "Check-Date", "Allow-Insecure", "Allow-Weak"];

impl Source {
    /// A source of the same archive, as a deb822 stanza.
    pub(crate) fn stanza(&self, types: &str, suites: &str, architectures: Option<&str>) -> String {
        let mut text = format!(
            "Types: {types}\nURIs: {}\nSuites: {suites}\nComponents: main\n",
            self.uris.join(" ")
        );
        if let Some(architectures) = architectures {
            text.push_str(&format!("Architectures: {architectures}\n"));
        }
        for (name, value) in &self.trust {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text.push('\n');
        text
    }

    /// A source of packages of the same archive, on one line, for people to copy.
    pub(crate) fn line(&self, suite: &str) -> String {
        // A key inside the source fits on no line; Debian's archive is trusted without it.
        let key =
            self.trust.iter().find(|(name, value)| name == "Signed-By" && value.starts_with('/'));
        let options = key.map(|(_, file)| format!("[signed-by={}] ", file.replace(' ', ",")));
        let uri = self.uris.first().map_or("", String::as_str);
        format!("deb {}{uri} {suite} main", options.unwrap_or_default())
    }

    fn serves(&self, suite: &str) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|item| item == wanted);
        has(&self.types, "deb") && has(&self.components, "main") && has(&self.suites, suite)
    }
}

/// What the machine runs and where its archive is.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// Debian's code name, for example `bookworm`.
    pub codename: String,
    sources: Vec<Source>,
}

impl Machine {
    /// A machine of tests, with sources in the one-line format.
    #[cfg(test)]
    pub(crate) fn of(codename: &str, list: impl AsRef<str>) -> Self {
        Self { codename: codename.to_owned(), sources: parse_list(list.as_ref()) }
    }

    /// Reads `/etc/os-release` and the apt sources.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let release = Path::new("/etc/os-release");
        let release = std::fs::read_to_string(release).at("read", release)?;
        let codename = codename(&release)?;
        let mut sources = Vec::new();
        let list = Path::new("/etc/apt/sources.list");
        if list.is_file() {
            sources.extend(parse_list(&std::fs::read_to_string(list).at("read", list)?));
        }
        let parts = Path::new("/etc/apt/sources.list.d");
        for entry in std::fs::read_dir(parts).into_iter().flatten().flatten() {
            let path = entry.path();
            let extension = path.extension().and_then(|ext| ext.to_str()).unwrap_or_default();
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            match extension {
                "list" => sources.extend(parse_list(&text)),
                "sources" => sources.extend(parse_deb822(&text)),
                _ => {}
            }
        }
        Ok(Self { codename, sources })
    }

    /// The source of Debian's main archive.
    pub(crate) fn archive(&self) -> anyhow::Result<&Source> {
        let aliases = [self.codename.as_str(), "stable", "oldstable", "testing", "unstable", "sid"];
        aliases.iter().find_map(|suite| self.sources.iter().find(|source| source.serves(suite))).context(
            "the machine's apt sources name no Debian archive (no `deb` line with this release's suite and the component \
             `main`); add one to /etc/apt/sources.list and try again",
        )
    }

    /// The machine's own release, its updates and its security fixes, as a private source list.
    pub(crate) fn own_sources(&self) -> String {
        let suites = [
            self.codename.clone(),
            format!("{}-updates", self.codename),
            format!("{}-security", self.codename),
            "stable".to_owned(),
            "testing".to_owned(),
            "sid".to_owned(),
        ];
        let mut text = String::new();
        for source in &self.sources {
            let own: Vec<&str> = source
                .suites
                .iter()
                .map(String::as_str)
                .filter(|s| suites.iter().any(|own| own == s))
                .collect();
            if source.types.iter().any(|kind| kind == "deb") && !own.is_empty() {
                text.push_str(&source.stanza("deb", &own.join(" "), None));
            }
        }
        text
    }
}

fn codename(os_release: &str) -> anyhow::Result<String> {
    let field = |name: &str| {
        os_release
            .lines()
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim_matches('"').to_owned())
    };
    let id = field("ID").unwrap_or_default();
    match field("VERSION_CODENAME") {
        Some(codename) if id == "debian" => Ok(codename),
        _ => bail!(
            "set-up knows Debian 12 and 13, and this machine runs {}; work in a Debian container here",
            if id.is_empty() { "something else" } else { &id }
        ),
    }
}

/// Parses the one-line format.
fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_list_line).collect()
}

fn parse_list_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let (kind, rest) = line.split_once(char::is_whitespace)?;
    if kind != "deb" && kind != "deb-src" {
        return None;
    }
    let rest = rest.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let uri = words.next()?;
    let suite = words.next()?;
    let trust = options.split_whitespace().filter_map(|option| {
        let (name, value) = option.split_once('=')?;
        let field = TRUST_FIELDS.iter().find(|field| field.eq_ignore_ascii_case(name))?;
        Some(((*field).to_owned(), value.replace(',', " ")))
    });
    Some(Source {
        types: vec![kind.to_owned()],
        uris: vec![uri],
        suites: vec![suite],
        components: words.collect(),
        trust: trust.collect(),
    })
}

/// Parses deb822 stanzas, leaving out disabled ones.
fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(stanza_source(&std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    sources
}

fn stanza_source(fields: &[(String, String)]) -> Option<Source> {
    let field = |name: &str| {
        fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    };
    let words = |name: &str| -> Vec<String> {
        field(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let off =
        |value: &str| ["no", "false", "0", "off"].iter().any(|no| value.eq_ignore_ascii_case(no));
    if field("Enabled").is_some_and(off) || field("URIs").is_none() {
        return None;
    }
    let trust = TRUST_FIELDS
        .iter()
        .filter_map(|name| field(name).map(|value| ((*name).to_owned(), value.to_owned())));
    Some(Source {
        types: words("Types"),
        uris: words("URIs"),
        suites: words("Suites"),
        components: words("Components"),
        trust: trust.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
# comment
deb [arch=amd64 signed-by=/k.gpg check-valid-until=no] http://mirror.example/debian bookworm main contrib # tail
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/security bookworm-security main
deb cdrom:[x] bookworm
nonsense
";

    const STANZAS: &str = "\
Types: deb
# inner comment
URIs: http://a.example/debian http://b.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://off.example/
Suites: bookworm
Components: main
";

    fn machine(sources: Vec<Source>) -> Machine {
        Machine { codename: "bookworm".into(), sources }
    }

    #[test]
    fn one_line_sources_are_parsed() {
        let sources = parse_list(LIST);
        let first = sources.first().unwrap();
        assert_eq!(first.components, ["main", "contrib"]);
        assert_eq!(first.trust[0], ("Signed-By".to_owned(), "/k.gpg".to_owned()));
        assert_eq!(first.trust[1], ("Check-Valid-Until".to_owned(), "no".to_owned()));
        assert!(first.serves("bookworm"));
        assert!(!sources[1].serves("bookworm"), "deb-src serves no packages");
    }

    #[test]
    fn stanzas_are_parsed_and_disabled_ones_left_out() {
        let sources = parse_deb822(STANZAS);
        assert_eq!(sources.len(), 1);
        assert_eq!(sources[0].uris.len(), 2);
        assert!(sources[0].trust[0].1.contains("\n -----BEGIN PGP"));
    }

    #[test]
    fn a_derived_stanza_keeps_archive_and_key() {
        let machine = machine(parse_deb822(STANZAS));
        let text = machine.archive().unwrap().stanza("deb", "trixie", Some("arm64"));
        assert!(text.contains("URIs: http://a.example/debian http://b.example/debian\n"));
        assert!(text.contains("Suites: trixie\n") && text.contains("Architectures: arm64\n"));
        assert!(text.contains("Signed-By: \n -----BEGIN PGP") && text.ends_with("\n\n"));
    }

    #[test]
    fn a_line_to_copy_keeps_archive_and_key() {
        let line = |text, parse: fn(&str) -> Vec<Source>| {
            machine(parse(text)).archive().unwrap().line("bookworm-backports")
        };
        assert_eq!(
            line(LIST, parse_list),
            "deb [signed-by=/k.gpg] http://mirror.example/debian bookworm-backports main"
        );
        assert_eq!(
            line(STANZAS, parse_deb822),
            "deb http://a.example/debian bookworm-backports main"
        );
    }

    #[test]
    fn own_sources_leave_out_foreign_suites() {
        let mut sources = parse_list(LIST);
        sources.extend(parse_list("deb http://other.example/ nodistro main"));
        let text = machine(sources).own_sources();
        assert!(text.contains("bookworm-security") && !text.contains("nodistro"), "{text}");
    }

    #[test]
    fn no_archive_is_a_sentence() {
        let error = machine(Vec::new()).archive().unwrap_err().to_string();
        assert!(error.contains("name no Debian archive"));
    }

    #[test]
    fn only_debian_is_known() {
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=trixie\n").unwrap(), "trixie");
        assert!(codename("ID=fedora\n").unwrap_err().to_string().contains("fedora"));
    }
}
