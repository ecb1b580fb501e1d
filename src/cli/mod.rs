//! The commands. Each is one short function over the public library; only here is anything printed.

// where things are, on what, and what a shell reads
mod machine;
mod shell;
mod shipped;

// what is given, and what is shown
mod args;
mod help;
mod render;
mod structure;

// where rows come from, where output goes
mod guesses;
mod outputs;
mod pages;
mod signals;
mod source;

// what the commands have in common
mod answering;
mod setup;
mod starting;

// several labels a row
mod multi_label;

// trainings of several models
mod ensemble;
mod train;

// many processes for them
mod plan;

// the other commands
mod check;
mod classify;
mod compare;
mod doctor;
mod explain;
mod export;
mod init;
mod label;
mod merge;
mod pretrain;
mod preview;
mod report;
mod robustness;
mod score;
mod search;
mod select;
mod serve;
mod verbalizer;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use cloze::error::{Errors, FileError, Kind, RunError};

/// Classify text by asking a masked language model to fill a blank.
#[derive(Debug, Parser)]
#[command(
    name = "cloze",
    version,
    long_version = machine::VERSION.as_str(),
    propagate_version = true,
    disable_help_subcommand = true,
    max_term_width = 80,
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Classify(Box<classify::Classify>),
    Init(init::Init),
    Score(Box<score::Score>),
    Train(Box<train::Train>),
    Ensemble(Box<ensemble::Ensemble>),
    #[command(subcommand)]
    Plan(plan::Plan),
    RunCell(plan::RunCell),
    Collect(plan::Collect),
    Pretrain(Box<pretrain::Pretrain>),
    Export(export::Export),
    Serve(Box<serve::Serve>),
    Report(report::Report),
    Compare(compare::Compare),
    Merge(merge::Merge),
    Check(check::Check),
    Robustness(robustness::Robustness),
    #[command(subcommand)]
    Search(search::Search),
    Select(Box<select::Select>),
    Label(Box<label::Label>),
    #[command(subcommand)]
    Verbalizer(verbalizer::Verbalizer),
    Preview(preview::Preview),
    Explain(explain::Explain),
    Doctor(doctor::Doctor),
    /// Print a completion script for a shell
    #[command(after_help = "\
Example:
  cloze completions bash > ~/.local/share/bash-completion/completions/cloze")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder: make install does
    #[command(hide = true)]
    Man {
        /// The folder
        folder: PathBuf,
    },
}

/// Runs the command line. 0: done; 1: the data or the model said no; 2: the command line was wrong (clap's
/// own); 130: stopped by Ctrl-C; 143: by `kill`.
pub fn main() -> ExitCode {
    let matches = help::in_groups(Args::command()).get_matches();
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    guesses::watch(&matches);
    match signals::watch().map_err(Into::into).and_then(|()| run(args.command)) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough (`cloze score … | head`): nothing went wrong.
        Err(error) if reader_left(&error) => ExitCode::SUCCESS,
        Err(error) => {
            render::error(&error);
            let interrupted =
                |error: &cloze::Error| matches!(error.kind(), Kind::Run(RunError::Interrupted { .. }));
            if error.downcast_ref().is_some_and(interrupted) {
                ExitCode::from(signals::exit_code())
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Classify(args) => classify::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Ensemble(args) => ensemble::run(&args),
        Command::Plan(plan) => plan::run(&plan),
        Command::RunCell(args) => plan::run_cell(&args),
        Command::Collect(args) => plan::collect(&args),
        Command::Pretrain(args) => pretrain::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Robustness(args) => robustness::run(&args),
        Command::Search(search) => search::run(&search),
        Command::Select(args) => select::run(&args),
        Command::Label(args) => label::run(&args),
        Command::Verbalizer(command) => verbalizer::run(&command),
        Command::Preview(args) => preview::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut help::in_groups(Args::command()), "cloze", &mut script);
            Ok(render::print_plain(&String::from_utf8(script)?)?)
        }
        Command::Man { folder } => {
            std::fs::create_dir_all(&folder).map_err(|error| cloze::Error::writing(&folder, &error))?;
            Ok(clap_mangen::generate_to(help::in_groups(Args::command()).long_version(None::<&str>), &folder)
                .map_err(|error| cloze::Error::writing(&folder, &error))?)
        }
    }
}

fn reader_left(error: &anyhow::Error) -> bool {
    let of_ours = |error: &cloze::Error| {
        matches!(error.kind(), Kind::File(FileError::Unwritable { pipe_closed: true, .. }))
    };
    error.downcast_ref::<cloze::Error>().is_some_and(of_ours)
        || error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        || error.downcast_ref::<Errors>().is_some_and(|problems| problems.iter().any(of_ours))
}
