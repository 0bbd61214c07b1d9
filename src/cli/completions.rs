//! `latentd completions` and `latentd man`: made from the command line itself.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap_complete::Shell;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or write one per command into a folder
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// A folder for the pages of all commands
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Prints completions.
pub fn run(args: &CompletionsArgs, mut command: clap::Command) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "latentd", &mut text);
    io::stdout().write_all(&text)?;
    Ok(())
}

/// Prints or writes manual pages.
pub fn man(args: &ManArgs, command: clap::Command) -> anyhow::Result<()> {
    match &args.folder {
        Some(folder) => clap_mangen::generate_to(command, folder)
            .with_context(|| format!("cannot write manual pages into `{}`", folder.display())),
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(command).render(&mut text)?;
            io::stdout().write_all(&text)?;
            Ok(())
        }
    }
}
