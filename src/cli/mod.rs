//! The command line: one file per command.
//!
//! Data goes to standard output, everything else to standard error. Exit 0: done; 1: it failed; 2: usage or configuration.

mod bench;
mod cat;
mod check;
mod completions;
mod compress;
mod corpus;
mod demo;
mod file_format;
mod generate;
mod interrupt;
mod models;
mod output;
mod page;
mod records;
mod redraw;
mod run;
mod score;
mod sheet;
mod show;
mod streams;
mod train;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// latentd learns a Kafka topic, writes it smaller, and gives it back exactly.
#[derive(Debug, Parser)]
#[command(name = "latentd", version, about, max_term_width = 100, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Check(check::CheckArgs),
    Demo(demo::DemoArgs),
    Compress(compress::CompressArgs),
    Decompress(compress::DecompressArgs),
    Bench(bench::BenchArgs),
    Train(train::TrainArgs),
    Generate(generate::GenerateArgs),
    Score(score::ScoreArgs),
    Models(models::ModelsArgs),
    Cat(cat::CatArgs),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
}

/// How a command reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl Format {
    /// Whether messages may have colour.
    pub(crate) fn stderr_has_colour() -> bool {
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
    }
}

/// The command line or a configuration is wrong: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(String);

impl UsageError {
    /// With a message that says what would be right.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Compress(args) => compress::compress(args),
        Command::Decompress(args) => compress::decompress(args),
        Command::Bench(args) => bench::run(args),
        Command::Train(args) => train::run(args),
        Command::Generate(args) => generate::run(args),
        Command::Score(args) => score::run(args),
        Command::Models(args) => models::run(args),
        Command::Cat(args) => cat::run(args),
        Command::Completions(args) => completions::run(args, Cli::command()),
        Command::Man(args) => completions::man(args, Cli::command()),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    if is_broken_pipe(&error) {
        // The reader has seen enough.
        return ExitCode::SUCCESS;
    }
    let usage = error.is::<UsageError>();
    let text = format!("{error:#}");
    // Errors of a configuration bring their own head.
    if text.starts_with("error") || text.starts_with('\x1b') {
        eprintln!("{text}")
    } else {
        eprintln!("error: {text}")
    }
    ExitCode::from(if usage { 2 } else { 1 })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}
