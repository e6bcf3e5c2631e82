//! `cargo xtask unsafe`: counts unsafe code per crate and enforces where it may stand.
//!
//! It may stand in `rmm/arch/` and in the leaf module of another bare-metal program
//! (`host/src/leaf/`, `tests/*/src/leaf.rs` or `tests/*/src/leaf/`). Counted are blocks, functions,
//! impls, traits, foreign blocks and unsafe attributes; inside macro calls, where the source is not
//! parsed, every `unsafe` word before a block or an item.
//!
//! The monitor's registers come from one table (`rmm/arch/src/registers`), where a write that could
//! break isolation is unsafe: `aarch64-cpu`'s own writes are all safe, and would not be counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use proc_macro2::{TokenStream, TokenTree};
use serde::Deserialize;
use syn::visit::{self, Visit};

use crate::fault::{IoContext, Verdict};
use crate::paths::root;
use crate::process;

/// The `unsafe` subcommand.
pub(crate) fn command() -> anyhow::Result<()> {
    let root = root();
    let mut forbidden = Vec::new();
    println!("{:<20} {:>8} {:>8} {:>8} {:>8}", "crate", "blocks", "fns", "impls", "other");
    let mut total = Count::default();
    for (name, folder) in crates(&root)? {
        let mut count = Count::default();
        for file in sources(&folder)? {
            let text = std::fs::read_to_string(&file).at("read", &file)?;
            let found =
                find(&text).with_context(|| format!("{} cannot be parsed", file.display()))?;
            let relative = file.strip_prefix(&root).unwrap_or(&file);
            if goes_around_the_table(relative, &text) {
                return Err(Verdict(format!(
                    "{} takes registers from aarch64-cpu; take them from crate::registers",
                    relative.display()
                ))
                .into());
            }
            if !is_allowed(relative) {
                forbidden
                    .extend(found.iter().map(|(line, _)| format!("{}:{line}", relative.display())));
            }
            found.iter().for_each(|(_, kind)| count.add(*kind));
        }
        println!("{name:<20} {count}");
        total.merge(&count);
    }
    println!("{:<20} {total}", "total");
    if forbidden.is_empty() {
        return Ok(());
    }
    for place in &forbidden {
        println!("unsafe code where it must not be: {place}");
    }
    Err(Verdict(format!(
        "unsafe code stands outside rmm/arch and the leaf modules of bare-metal programs in {} places (above); move it there",
        forbidden.len()
    ))
    .into())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

/// The crates of the workspace: name and folder.
fn crates(root: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(root);
    let metadata: Metadata = serde_json::from_str(&process::output(&mut command)?)
        .context("cargo's metadata cannot be read")?;
    let folder = |package: &Package| package.manifest_path.parent().map(Path::to_path_buf);
    Ok(metadata.packages.iter().filter_map(|p| Some((p.name.clone(), folder(p)?))).collect())
}

/// The Rust files of one crate, without those of crates inside it.
fn sources(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).at("read", &folder)? {
            let path = entry.at("read", &folder)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" && !path.join("Cargo.toml").is_file()
                {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether unsafe code may stand in this file (a path below the checkout).
fn is_allowed(file: &Path) -> bool {
    let parts: Vec<&str> = file.iter().filter_map(|part| part.to_str()).collect();
    match parts.as_slice() {
        ["rmm", "arch", ..]
        | ["host", "src", "leaf", ..]
        | ["tests", _, "src", "leaf.rs"]
        | ["tests", _, "src", "leaf", ..] => true,
        [..] => false,
    }
}

/// Whether a file of the monitor takes from `aarch64-cpu` anything but instructions, and is not the
/// table of registers.
fn goes_around_the_table(file: &Path, text: &str) -> bool {
    file.starts_with("rmm/arch/src")
        && !file.starts_with("rmm/arch/src/registers")
        && text.split("aarch64_cpu").skip(1).any(|rest| !rest.starts_with("::asm"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Block,
    Function,
    Impl,
    Other,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    blocks: usize,
    functions: usize,
    impls: usize,
    other: usize,
}

impl Count {
    fn add(&mut self, kind: Kind) {
        match kind {
            Kind::Block => self.blocks += 1,
            Kind::Function => self.functions += 1,
            Kind::Impl => self.impls += 1,
            Kind::Other => self.other += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.functions += other.functions;
        self.impls += other.impls;
        self.other += other.other;
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>8} {:>8} {:>8} {:>8}", self.blocks, self.functions, self.impls, self.other)
    }
}

/// Every piece of unsafe code in `text`: line and kind.
fn find(text: &str) -> syn::Result<Vec<(usize, Kind)>> {
    let mut finder = Finder::default();
    finder.visit_file(&syn::parse_file(text)?);
    Ok(finder.found)
}

#[derive(Default)]
struct Finder {
    found: Vec<(usize, Kind)>,
}

impl Finder {
    fn note(&mut self, token: Option<&syn::Token![unsafe]>, kind: Kind) {
        if let Some(token) = token {
            self.found.push((token.span.start().line, kind));
        }
    }

    /// Words in a macro call, which are code or not depending on the macro. `unsafe` counts if what
    /// follows looks like code (`Token![unsafe]` does not).
    fn tokens(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(word)
                    if word == "unsafe" && tokens.peek().is_some_and(opens_unsafe) =>
                {
                    self.found.push((word.span().start().line, Kind::Other));
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

/// Whether `token` after the word `unsafe` makes it unsafe code: a block, an attribute, or an item.
fn opens_unsafe(token: &TokenTree) -> bool {
    match token {
        TokenTree::Group(_) => true,
        TokenTree::Ident(word) => {
            ["fn", "impl", "trait", "extern", "mod"].iter().any(|item| word == item)
        }
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_expr_unsafe(&mut self, node: &'ast syn::ExprUnsafe) {
        self.note(Some(&node.unsafe_token), Kind::Block);
        visit::visit_expr_unsafe(self, node);
    }

    fn visit_signature(&mut self, node: &'ast syn::Signature) {
        if let syn::Safety::Unsafe(token) = &node.safety {
            self.note(Some(token), Kind::Function);
        }
        visit::visit_signature(self, node);
    }

    fn visit_item_impl(&mut self, node: &'ast syn::ItemImpl) {
        self.note(node.unsafety.as_ref(), Kind::Impl);
        visit::visit_item_impl(self, node);
    }

    fn visit_item_trait(&mut self, node: &'ast syn::ItemTrait) {
        self.note(node.unsafety.as_ref(), Kind::Other);
        visit::visit_item_trait(self, node);
    }

    fn visit_item_foreign_mod(&mut self, node: &'ast syn::ItemForeignMod) {
        self.note(node.unsafety.as_ref(), Kind::Other);
        visit::visit_item_foreign_mod(self, node);
    }

    fn visit_attribute(&mut self, node: &'ast syn::Attribute) {
        if node.path().is_ident("unsafe") {
            self.found.push((node.pound_token.span.start().line, Kind::Other));
        }
        visit::visit_attribute(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        self.tokens(node.tokens.clone());
        visit::visit_macro(self, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_found_with_its_line() {
        let text = "\
//! unsafe in a comment does not count
fn a() { unsafe { b() } }
unsafe fn b() {}
unsafe impl Send for X {}
unsafe trait T { unsafe fn c(); }
unsafe extern \"C\" { fn d(); }
#[unsafe(no_mangle)]
fn e() { call!(unsafe { f() }); let _ = \"unsafe\"; }
fn g() { call!(unsafe fn h() {}); let _: Token![unsafe]; }
";
        let found = find(text).unwrap();
        let wanted = [
            (2, Kind::Block),
            (3, Kind::Function),
            (4, Kind::Impl),
            (5, Kind::Other),
            (5, Kind::Function),
            (6, Kind::Other),
            (7, Kind::Other),
            (8, Kind::Other),
            (9, Kind::Other),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn only_the_leaves_may_have_it() {
        for good in ["rmm/arch/src/x.rs", "tests/el3/src/leaf.rs", "host/src/leaf/cpu.rs"] {
            assert!(is_allowed(Path::new(good)), "{good}");
        }
        for bad in
            ["rmm/src/lib.rs", "host/src/main.rs", "granule/src/leaf.rs", "tests/src/leaf.rs"]
        {
            assert!(!is_allowed(Path::new(bad)), "{bad}");
        }
    }

    #[test]
    fn registers_come_from_the_table() {
        let barrier = "use aarch64_cpu::asm::barrier;";
        let register = "use aarch64_cpu::asm::wfe;\nuse aarch64_cpu::registers::HCR_EL2;";
        let (table, other) = ("rmm/arch/src/registers/table.rs", "rmm/arch/src/vcpu/mod.rs");
        assert!(!goes_around_the_table(Path::new(other), barrier));
        assert!(goes_around_the_table(Path::new(other), register));
        assert!(!goes_around_the_table(Path::new(table), register));
        assert!(!goes_around_the_table(Path::new("host/src/leaf/cpu.rs"), register));
    }

    #[test]
    fn crates_inside_a_crate_are_not_counted_twice() {
        let files = sources(&root().join("rmm")).unwrap();
        assert!(files.iter().all(|file| !file.starts_with(root().join("rmm/arch"))));
    }
}
