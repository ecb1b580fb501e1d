//! Cases that `transformers` scored: each a folder with template.json, verbalizer.json, max_length, data.csv
//! and scores.csv.
//!
//! `tests/oracle/` has small ones on the project's own data, made by tests/oracle/make.sh.
//! `make oracle DIR=…` runs this test on a folder of other cases.

use std::path::{Path, PathBuf};

use cloze::model::folder::EngineChoice;
use cloze::model::threads::Threads;
use cloze::predict::encode::encode;
use cloze::predict::pvp::Pvp;
use cloze::predict::score::Scorer;
use cloze::text::data::{Columns, Example, Reading};
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;

use crate::support::{DEFAULT, base, zero_shot};

/// The reference is fp32 too, rounded to 6 digits.
const PROBABILITIES: f64 = 2e-3;
/// Where the reference's two best classes are nearer than this, either may win.
const MARGIN: f64 = 1e-3;

fn read(path: &Path) -> (std::sync::Arc<Columns>, Vec<Example>) {
    let rows = Reading::default().open(path).unwrap();
    (rows.columns().clone(), rows.collect::<Result<_, _>>().unwrap())
}

/// Checks a case and tells the largest difference between probabilities.
fn check(case: &Path, model_folder: &Path, engine: EngineChoice) -> f64 {
    let name = case.display();
    let template = Template::read(&case.join("template.json")).unwrap();
    let verbalizer = Verbalizer::read(&case.join("verbalizer.json")).unwrap();
    let max_length = std::fs::read_to_string(case.join("max_length")).unwrap().trim().parse().unwrap();
    let (columns, examples) = read(&case.join("data.csv"));
    let tasks = [Pvp::plain(template).unwrap().on(&columns).unwrap()];
    let base = base(model_folder, engine, &verbalizer);
    let classifiers = [zero_shot(&base)];
    let scorer = Scorer {
        classifiers: &classifiers,
        tokenizer: base.tokenizer(),
        tasks: &tasks,
        max_length,
        batch_tokens: 1024,
        threads: Threads::usual(),
        long: Default::default(),
        pool: Default::default(),
        neighbours: None,
    };
    let scored = scorer.score(&columns, &examples, &mut |_| {}).unwrap();

    let (wanted_columns, wanted) = read(&case.join("scores.csv"));
    assert_eq!(scored.len(), wanted.len(), "{name}: rows");
    let field = |row: &Example, column: &str| {
        wanted_columns.names().iter().position(|name| name == column).map(|index| row.fields[index].clone())
    };
    let mut largest: f64 = 0.0;
    for ((example, scored), row) in examples.iter().zip(&scored).zip(&wanted) {
        let reference: Vec<f64> = verbalizer
            .labels()
            .map(|label| field(row, &format!("p_{label}")).unwrap().parse().unwrap())
            .collect();
        for (found, wanted) in scored.average.probabilities.iter().zip(&reference) {
            largest = largest.max((found - wanted).abs());
        }
        assert!(
            largest <= PROBABILITIES,
            "{name}, row {}: {:?}, reference {reference:?}",
            row.record,
            scored.average.probabilities
        );
        let mut sorted = reference.clone();
        sorted.sort_by(|left, right| right.total_cmp(left));
        if sorted[0] - sorted[1] > MARGIN {
            let predicted = verbalizer.labels().nth(scored.average.class()).unwrap();
            assert_eq!(predicted, field(row, "predicted").unwrap(), "{name}, row {}", row.record);
        }
        let features = encode(&tasks[0].wrap(example), base.tokenizer(), max_length).unwrap();
        for (column, found) in [("tokens", features.ids.len()), ("removed", features.removed)] {
            if let Some(wanted) = field(row, column) {
                assert_eq!(found.to_string(), wanted, "{name}, row {}: {column}", row.record);
            }
        }
    }
    largest
}

#[test]
#[allow(clippy::print_stdout)] // Shown by `make oracle`.
fn scores_equal_transformers() {
    let folder = std::env::var_os("ORACLE_DIR").map_or_else(|| PathBuf::from("tests/oracle"), PathBuf::from);
    let model_folder = std::env::var("ORACLE_MODEL").unwrap_or_else(|_| DEFAULT.to_owned());
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("scores.csv").exists())
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no cases in {}", folder.display());
    for engine in [EngineChoice::Cloze, EngineChoice::RustBert] {
        for case in &cases {
            let largest = check(case, Path::new(&model_folder), engine);
            println!("{engine:?}  {}  largest difference {largest:.1e}", case.display());
        }
    }
}
