//! What is compiled into the monitor: a bill of materials in the format of CycloneDX, and
//! everybody's licences.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use cyclonedx_bom::external_models::uri::Purl;
use cyclonedx_bom::models::bom::{Bom, SpecVersion};
use cyclonedx_bom::models::component::{Classification, Component, Components};
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::models::metadata::Metadata as About;

use crate::fault::IoContext;
use crate::paths::TARGET;
use crate::process;

/// The package that everything else is a part of.
const MONITOR: &str = "rmm";

/// Beginnings of the names of files with a licence in them.
const LICENCES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// The packages by name and version, with what each needs.
#[derive(Debug)]
pub(super) struct Parts {
    metadata: Metadata,
    /// Those that cargo compiles for the image: the rest of the workspace's packages does not
    /// count.
    compiled: BTreeSet<(String, String)>,
}

impl Parts {
    /// Asks cargo about the sources at `root`.
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut command = MetadataCommand::new();
        command.manifest_path(root.join("Cargo.toml"));
        command.other_options(["--locked", "--filter-platform", TARGET].map(str::to_owned));
        let metadata = command.exec().context("cargo does not tell what the monitor is made of")?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut tree = Command::new(cargo);
        tree.current_dir(root).args(["tree", "--locked", "-p", MONITOR, "--target", TARGET]);
        tree.args(["-e", "normal,build", "--prefix", "none", "-f", "{p}"]);
        Ok(Self { metadata, compiled: listed(&process::output(&mut tree)?) })
    }

    /// The packages, in the order of their names and versions.
    fn packages(&self) -> Vec<&Package> {
        let is_compiled = |package: &&Package| {
            self.compiled.contains(&(package.name.to_string(), package.version.to_string()))
        };
        let mut packages: Vec<&Package> =
            self.metadata.packages.iter().filter(is_compiled).collect();
        packages.sort_by_key(|package| (package.name.to_string(), package.version.clone()));
        packages
    }

    /// The bill of materials. It has neither time nor serial number, so that it is the same each
    /// time.
    pub(super) fn bill(&self) -> anyhow::Result<Vec<u8>> {
        let packages = self.packages();
        ensure!(packages.len() == self.compiled.len(), "cargo contradicts itself about packages");
        let (own, others): (Vec<&Package>, Vec<&Package>) =
            packages.iter().partition(|package| package.name.as_str() == MONITOR);
        let own = own.first().context("the monitor is not a part of itself")?;
        let monitor = component(own, Classification::Firmware)?;
        let library = |package: &&Package| component(package, Classification::Library);
        let about = About { component: Some(monitor), ..About::default() };
        let bom = Bom {
            serial_number: None,
            metadata: Some(about),
            components: Some(Components(others.iter().map(library).collect::<Result<_, _>>()?)),
            dependencies: Some(Dependencies(self.dependencies())),
            ..Bom::default()
        };
        let mut text = Vec::new();
        bom.output_as_json(&mut text, SpecVersion::V1_5).context("cannot write the bill")?;
        text.push(b'\n');
        Ok(text)
    }

    /// Which package needs which others.
    fn dependencies(&self) -> Vec<Dependency> {
        let packages = self.packages();
        let name = BTreeMap::from_iter(packages.iter().map(|p| (&p.id, reference(p))));
        let nodes = self.metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
        let needs = BTreeMap::from_iter(nodes.map(|node| (&node.id, node)));
        let of = |package: &&Package| {
            let deps = needs.get(&package.id).into_iter().flat_map(|node| &node.deps);
            let compiled = deps.filter(|dep| {
                dep.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
            });
            let mut names: Vec<String> =
                compiled.filter_map(|dep| name.get(&dep.pkg).cloned()).collect();
            names.sort();
            names.dedup();
            Dependency { dependency_ref: reference(package), dependencies: names }
        };
        packages.iter().map(of).collect()
    }

    /// Copies the licences that came with each package from elsewhere into a folder of its own in
    /// `folder`.
    pub(super) fn copy_licences(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder).at("make the folder", folder)?;
        for package in self.packages() {
            let Some(from) = package.manifest_path.parent().filter(|_| package.source.is_some())
            else {
                continue;
            };
            let to = folder.join(reference(package));
            std::fs::create_dir_all(&to).at("make the folder", &to)?;
            for entry in std::fs::read_dir(from).at("read", from.as_std_path())? {
                let entry = entry.at("read", from.as_std_path())?;
                let name = entry.file_name();
                let upper = name.to_string_lossy().to_uppercase();
                if LICENCES.iter().any(|word| upper.starts_with(word)) && entry.path().is_file() {
                    std::fs::copy(entry.path(), to.join(&name)).at("copy", &entry.path())?;
                }
            }
            let note = to.join("licence.txt");
            let licence = package.license.as_deref().unwrap_or("see the files beside this one");
            let source = package.repository.as_deref().unwrap_or("crates.io");
            let text = format!("{}: {licence}\n{source}\n", reference(package));
            std::fs::write(&note, text).at("write", &note)?;
        }
        Ok(())
    }
}

/// Names and versions in the output of `cargo tree`: `name v1.2.3 (path)` in each line, some of
/// them twice.
fn listed(tree: &str) -> BTreeSet<(String, String)> {
    let pair = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        Some((name, words.next()?.strip_prefix('v')?.to_owned()))
    };
    tree.lines().filter_map(pair).collect()
}

/// A package's name in the bill and in the folder of licences.
fn reference(package: &Package) -> String {
    format!("{}-{}", package.name, package.version)
}

fn component(package: &Package, class: Classification) -> anyhow::Result<Component> {
    let (name, version) = (package.name.to_string(), package.version.to_string());
    let mut component = Component::new(class, &name, &version, Some(reference(package)));
    if package.source.is_some() {
        let purl = Purl::new("cargo", &name, &version);
        component.purl = Some(purl.with_context(|| format!("{name} has no package URL"))?);
    }
    let licence = package.license.as_ref();
    component.licenses =
        licence.map(|text| Licenses(vec![LicenseChoice::expression(&text.replace('/', " OR "))]));
    Ok(component)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::root;

    #[test]
    fn cargo_tree_is_read() {
        let tree = "rmm v0.1.0 (/a/b)\nserde v1.0.2\nserde v1.0.2\nmacros v3.0.0 (proc-macro)\n";
        let pair = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let wanted = [pair("macros", "3.0.0"), pair("rmm", "0.1.0"), pair("serde", "1.0.2")];
        assert_eq!(listed(tree), BTreeSet::from(wanted));
    }

    #[test]
    fn the_bill_names_what_the_monitor_is_made_of_and_no_tools() {
        let parts = Parts::read(&root()).unwrap();
        let bill: serde_json::Value = serde_json::from_slice(&parts.bill().unwrap()).unwrap();
        assert_eq!(bill["specVersion"], "1.5");
        assert_eq!(bill["metadata"]["component"]["name"], "rmm");
        let components = bill["components"].as_array().unwrap();
        let find = |name: &str| components.iter().find(|component| component["name"] == name);
        let curve = find("p384").unwrap();
        assert_eq!(curve["purl"], "pkg:cargo/p384@0.13.1");
        assert_eq!(curve["licenses"][0]["expression"], "Apache-2.0 OR MIT");
        assert!(find("realm").is_some() && find("clap").is_none() && find("xtask").is_none());
        assert!(components.iter().all(|component| component["licenses"][0].is_object()));
        assert!(bill.get("serialNumber").is_none());
    }
}
