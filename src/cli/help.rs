//! What `-h` and `--help` show: flags under headings by what they are for, on one screen those that most
//! need.

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command};

/// The headings, and the flags below each that have no heading of their own where they are declared.
const GROUPS: [(&str, &[&str]); 9] = [
    (
        "What you give",
        &[
            "template",
            "verbalizer",
            "labels",
            "labels_file",
            "tree",
            "ordered",
            "ask",
            "run",
            "task",
            "member",
            "data",
            "shard",
            "text",
            "field",
            "text_column",
            "shares",
            "held_out",
            "map",
            "label_column",
            "no_labels",
            "label_map",
            "unlabelled",
            "bad_rows",
            "format",
            "encoding",
            "delimiter",
            "quoting",
            "sheet",
            "max_record_mib",
            "train",
            "descriptions",
            "null_inputs",
            "shots",
            "dev",
            "test",
            "unlabeled",
            "unlabeled_rows",
            "tasks",
            "seeds",
            "seed",
            "patterns",
            "row",
            "rows",
            "data_rows",
            "generate",
            "from",
            "wordnet",
            "given",
            "predicted_column",
            "id_column",
            "true_labels",
            "experiment",
            "resume",
            "project",
            "labeller",
        ],
    ),
    (
        "What you get",
        &[
            "out",
            "out_format",
            "random_out",
            "report",
            "page",
            "json",
            "save",
            "merged",
            "peft",
            "precision",
            "average_with",
            "average_share",
            "keep_columns",
            "flush_rows",
            "quiet",
            "n",
            "strict",
            "words",
            "keep",
            "no_relevance",
            "no_calibration",
        ],
    ),
    ("Correction", &["no_correction", "prior", "calibrate", "calibration", "abstain_below"]),
    ("Service", &["host", "port", "api_key_file", "readonly", "timeout", "max_queue", "max_body"]),
    (
        "Ensemble",
        &[
            "merge",
            "weights",
            "temperature",
            "mlm_weight",
            "generations",
            "growth",
            "annotators",
            "draw",
            "keep_members",
        ],
    ),
    (
        "Student",
        &[
            "student",
            "student_template",
            "student_model",
            "student_steps",
            "student_learning_rate",
            "student_labelled",
            "no_distill",
        ],
    ),
    (
        "Method",
        &[
            "method",
            "tuning",
            "rank",
            "alpha",
            "targets",
            "length",
            "bottleneck",
            "frozen_encoder",
            "init_from",
        ],
    ),
    (
        "Training",
        &[
            "steps",
            "tokens",
            "minutes",
            "sequence_length",
            "mask_rate",
            "masked",
            "random",
            "whole_words",
            "learning_rate",
            "soft_learning_rate",
            "batch_size",
            "accumulation",
            "warm_up",
            "weight_decay",
            "clip_norm",
            "dropout",
            "r_drop",
            "loss",
            "evaluate_every",
            "patience",
            "select",
            "baseline",
            "checkpoint_every",
        ],
    ),
    (
        "Model and speed",
        &[
            "model",
            "force_head",
            "max_length",
            "long",
            "pool",
            "device",
            "threads",
            "dtype",
            "batch_tokens",
            "max_batch_tokens",
            "allow_other_base",
        ],
    ),
];

/// The heading of all other flags.
const RARE: &str = "Rare";

/// What `-h` shows.
const OFTEN: [&str; 42] = [
    "template",
    "verbalizer",
    "labels",
    "labels_file",
    "ask",
    "method",
    "run",
    "data",
    "text",
    "text_column",
    "label_column",
    "train",
    "shots",
    "test",
    "unlabeled",
    "seeds",
    "patterns",
    "generate",
    "words",
    "tokens",
    "minutes",
    "out",
    "row",
    "report",
    "json",
    "save",
    "merged",
    "peft",
    "quiet",
    "n",
    "strict",
    "no_correction",
    "prior",
    "calibrate",
    "model",
    "resume",
    "host",
    "port",
    "api_key_file",
    "project",
    "labeller",
    "export",
];

/// The same commands with their flags under headings, and a short and a long help.
pub fn in_groups(command: Command) -> Command {
    let command = command.mut_subcommands(in_groups);
    if command.has_subcommands() {
        return command;
    }
    let help = Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .help("All this; -h shows the flags that most need")
        .help_heading(RARE);
    let version = Arg::new("version")
        .short('V')
        .long("version")
        .action(ArgAction::Version)
        .help("The versions of cloze and of libtorch")
        .help_heading(RARE);
    let all = command.get_after_help().map(StyledStr::to_string);
    let mut command = command.disable_help_flag(true).disable_version_flag(true).args([version, help]);
    if let Some(all) = all {
        command = command.after_help(first_example(&all)).after_long_help(all);
    }
    let mut order = 0;
    command.mut_args(|arg| {
        order += 1;
        in_group(arg, order)
    })
}

fn in_group(arg: Arg, order: usize) -> Arg {
    let id = arg.get_id().to_string();
    let id = id.as_str();
    let short = (OFTEN.contains(&id) && !arg.is_hide_short_help_set()) || arg.is_positional();
    let heading = GROUPS.iter().find(|(_, flags)| flags.contains(&id)).map(|(heading, _)| *heading);
    // What is given without a flag stands first.
    let order = if arg.is_positional() { 0 } else { order };
    let arg = arg.display_order(order);
    match (arg.get_help_heading(), heading, arg.is_positional()) {
        (None, Some(heading), _) => arg.help_heading(heading),
        (None, None, false) => arg.help_heading(RARE),
        _ => arg,
    }
    .hide_short_help(!short)
}

/// What `-h` ends with: the first of a command's examples: a line, and those that it goes on in.
fn first_example(text: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("  cloze "));
    let mut example = String::from("Example:\n");
    for line in lines.by_ref() {
        example += line;
        if !line.ends_with('\\') {
            break;
        }
        example.push('\n');
    }
    example + "\n\n--help shows all flags."
}
