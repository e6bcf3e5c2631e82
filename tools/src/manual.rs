//! `completions` and `man`: the same description as that of `--help`, for shells and for `man`.

use std::io::Write;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::{Shell as Dialect, generate};
use clap_mangen::Man;

use crate::cli::{Cli, CompletionsOptions, ManOptions, Shell};
use crate::fault::IoContext;

/// The `completions` subcommand.
pub(crate) fn completions(options: &CompletionsOptions) -> anyhow::Result<()> {
    let script = script(options.shell)?;
    std::io::stdout().write_all(script.as_bytes()).context("cannot write the completions")
}

/// The `man` subcommand.
pub(crate) fn man(options: &ManOptions) -> anyhow::Result<()> {
    let command = named(Cli::command(), "cargo-xtask");
    let Some(folder) = &options.folder else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).context("cannot make the manual page")?;
        return std::io::stdout().write_all(&page).context("cannot write the manual page");
    };
    std::fs::create_dir_all(folder).at("make the folder", folder)?;
    clap_mangen::generate_to(command, folder).at("write", folder)?;
    println!("Read them with `man {}/cargo-xtask.1`.", folder.display());
    Ok(())
}

/// The script that a shell reads. Who types is in the middle of a command line of cargo, so each
/// shell gets what its completions of cargo can be added to.
fn script(shell: Shell) -> anyhow::Result<String> {
    // Bash and fish describe cargo with this one command.
    let cargo = || clap::Command::new("cargo").subcommand(Cli::command().name("xtask"));
    match shell {
        Shell::Bash => {
            let script = generated(Dialect::Bash, cargo(), "cargo")?;
            let (functions, _) = script
                .rsplit_once("if [[ \"${BASH_VERSINFO[0]}\"")
                .context("the completions for bash have another form than expected")?;
            Ok(format!("{}{GLUE}", functions.replace("_cargo()", "_cairn_cargo_xtask()")))
        }
        // The completions of cargo call a function of this name.
        Shell::Zsh => generated(Dialect::Zsh, named(Cli::command(), "cargo-xtask"), "cargo-xtask"),
        Shell::Fish => generated(Dialect::Fish, cargo(), "cargo"),
    }
}

/// Bash has one function for each program: this one takes over `cargo xtask` and leaves the rest to
/// the one before.
const GLUE: &str = r#"
_cairn_cargo() {
    if [[ ${COMP_WORDS[1]} == xtask ]]; then
        _cairn_cargo_xtask "$@"
    elif [[ -n $_cairn_cargo_before ]]; then
        "$_cairn_cargo_before" "$@"
    fi
}

[[ $(type -t _completion_loader) != function ]] || _completion_loader cargo
_cairn_cargo_before=$(complete -p cargo 2> /dev/null | sed -n 's/.* -F \([^ ]*\).*/\1/p')
[[ $_cairn_cargo_before != _cairn_cargo ]] || _cairn_cargo_before=
complete -F _cairn_cargo -o bashdefault -o default cargo
"#;

fn generated(shell: Dialect, mut command: clap::Command, name: &str) -> anyhow::Result<String> {
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    String::from_utf8(script).context("the completions are not text")
}

/// The tool under another name: its own has a space.
fn named(command: clap::Command, name: &'static str) -> clap::Command {
    command.name(name).bin_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What bash offers when Tab is pressed behind these words.
    fn offers(words: &[&str]) -> String {
        let file = std::env::temp_dir().join(format!("cairn-bash-{}", std::process::id()));
        std::fs::write(&file, script(Shell::Bash).unwrap()).unwrap();
        let last = words.len() - 1;
        let script = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={last}; _cairn_cargo cargo '{}' '{}'; echo \"${{COMPREPLY[*]}}\"",
            file.display(),
            words.iter().map(|word| format!("'{word}' ")).collect::<String>(),
            words[last],
            words[last - 1],
        );
        let output = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
        std::fs::remove_file(file).unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn bash_completes_commands_options_and_values() {
        assert!(offers(&["cargo", "xtask", "con"]).contains("conformance"));
        assert!(offers(&["cargo", "xtask", "run", "--host-k"]).contains("--host-kernel"));
        assert!(offers(&["cargo", "xtask", "image", "--platform", ""]).contains("fvp"));
        assert_eq!(offers(&["cargo", "build", "--rel"]).trim(), "");
    }

    #[test]
    fn zsh_and_fish_have_the_commands_too() {
        let zsh = script(Shell::Zsh).unwrap();
        assert!(zsh.starts_with("#compdef cargo-xtask\n") && zsh.contains("conformance"));
        assert!(script(Shell::Fish).unwrap().contains("conformance"));
    }

    #[test]
    fn there_is_a_page_for_each_command() {
        let folder = std::env::temp_dir().join(format!("cairn-man-{}", std::process::id()));
        man(&ManOptions { folder: Some(folder.clone()) }).unwrap();
        let page = std::fs::read_to_string(folder.join("cargo-xtask-run.1")).unwrap();
        assert!(page.contains("host\\-kernel"), "{page}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
