//! Reports of ensemble experiments: reading, the tables made of them, and the page.

use std::path::{Path, PathBuf};

use cloze::error::{JsonError, Kind};
use cloze::study::compare::PairedDifference;
use cloze::study::ensemble::page::page;
use cloze::study::ensemble::report::EnsembleReport;
use cloze::study::ensemble::summary::{BetweenRuns, between_runs};
use serde_json::Value;

use crate::support::read_json;

const ALL: [&str; 4] = ["ipet", "lora", "elsewhere", "bare"];

fn folder(name: &str) -> PathBuf {
    Path::new("tests/fixtures/report").join(name)
}

fn read(name: &str) -> EnsembleReport {
    EnsembleReport::of_run(&folder(name)).unwrap()
}

fn page_of(name: &str) -> String {
    page(&[(name, &read(name))])
}

fn percent(value: &Value) -> String {
    format!("{:.1}", value.as_f64().unwrap() * 100.0)
}

/// What a page shows of an accuracy.
fn shown(accuracy: &Value) -> String {
    let mean = percent(&accuracy["mean"]);
    if accuracy["standard_deviation"].is_null() {
        mean
    } else {
        format!("{mean} ± {}", percent(&accuracy["standard_deviation"]))
    }
}

#[test]
fn what_is_read_is_what_was_written() {
    for name in ALL {
        let (written, report) = (read_json(folder(name).join("report.json")), read(name));
        assert_eq!(serde_json::to_value(&report).unwrap(), written, "{name}");
        let again: EnsembleReport =
            serde_json::from_str(&serde_json::to_string_pretty(&report).unwrap()).unwrap();
        assert_eq!(again, report, "{name}");
    }
}

#[test]
fn the_page_has_the_numbers_of_the_json() {
    for name in ["ipet", "lora", "elsewhere"] {
        let (json, page) = (read_json(folder(name).join("report.json")), page_of(name));
        for stage in json["stages"].as_array().unwrap() {
            let members =
                stage["patterns"].as_array().unwrap().iter().chain([&stage["ensemble"], &stage["student"]]);
            for measured in members.filter(|measured| !measured.is_null()) {
                assert!(
                    page.contains(&format!("<td>{}</td>", shown(&measured["accuracy"]))),
                    "{name}: {}",
                    measured["accuracy"]
                );
            }
            for measured in
                [&stage["ensemble"], &stage["student"]].into_iter().filter(|measured| !measured.is_null())
            {
                let [low, high] = [0, 1].map(|end| percent(&measured["accuracy_95"][end]));
                assert!(page.contains(&format!("<td>{low}–{high}</td>")), "{name}: {low}–{high}");
                assert!(page.contains(&format!("<td>{}</td>", percent(&measured["macro_f1"]))));
                assert!(
                    page.contains(&format!("<td>{}</td>", percent(&measured["expected_calibration_error"])))
                );
            }
            assert!(page.contains(&format!("<td>{}</td>", shown(&stage["mean_pattern"]))));
            let cells = stage["ensemble"]["accuracy"]["by_seed"].as_array().unwrap();
            if cells.len() > 1 {
                let cells: String =
                    cells.iter().map(|accuracy| format!("<td>{}</td>", percent(accuracy))).collect();
                assert!(page.contains(&cells), "{name}: {cells}");
            }
        }
        let last = json["stages"].as_array().unwrap().last().unwrap();
        let final_one = if last["student"].is_null() { &last["ensemble"] } else { &last["student"] };
        for count in final_one["confusion"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap())
        {
            assert!(page.contains(&format!("\">{count}</td>")), "{name}: {count} of the confusion matrix");
        }
        for pair in
            last["agreement"]["pairwise"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap())
        {
            assert!(
                pair == 1.0 || page.contains(&format!("\">{}</td>", percent(pair))),
                "{name}: agreement {pair}"
            );
        }
        assert!(page.contains(&format!("<b>{:.3}</b>", last["agreement"]["fleiss_kappa"].as_f64().unwrap())));
    }
}

#[test]
fn the_main_table_has_a_row_for_each_of_pets() {
    let report = read("ipet");
    let names: Vec<(String, Vec<&str>)> = report
        .groups()
        .into_iter()
        .map(|group| (group.name, group.rows.iter().map(|row| row.name).collect()))
        .collect();
    let untrained = vec!["worst pattern", "mean pattern", "best pattern", "ensemble"];
    let last = [untrained.clone(), vec!["student"]].concat();
    assert_eq!(
        names,
        [
            ("without training".to_owned(), untrained.clone()),
            ("generation 0".to_owned(), untrained),
            ("generation 1".to_owned(), last)
        ]
    );
    // An ensemble of one is its member.
    let mut one = read("elsewhere");
    one.patterns.truncate(1);
    for stage in &mut one.stages {
        stage.patterns.truncate(1);
        (stage.worst, stage.best) = (Some(0), Some(0));
    }
    assert_eq!(one.groups()[1].rows.iter().map(|row| row.name).collect::<Vec<_>>(), ["pattern", "student"]);
}

#[test]
fn a_page_needs_no_network_and_runs_no_script() {
    let runs = ALL.map(read);
    let all: Vec<(&str, &EnsembleReport)> = ALL.into_iter().zip(&runs).collect();
    for page in [page(&all), page_of("ipet"), page_of("bare"), page(&[])] {
        for reference in ["http://", "https://", "src=", "url(", "@import", "<script", "<link", "javascript:"]
        {
            assert!(!page.contains(reference), "{reference}");
        }
    }
}

#[test]
fn users_texts_are_text_on_the_page() {
    let mut report = read("ipet");
    let evil = "</title></svg><script>alert(\"1\")</script>&amp;";
    report.setting.classes[0] = evil.into();
    report.setting.model = evil.into();
    report.patterns[0].template = evil.into();
    report.patterns[0].pattern = evil.into();
    report.patterns[1].verbalizer = evil.into();
    report.warnings.push(evil.into());
    report.failures[0].reason = evil.into();
    report.seconds[0].step = evil.into();
    let page = page(&[(evil, &report), ("other", &read("lora"))]);
    assert!(!page.contains("<script"));
    assert!(page.contains("&lt;/svg&gt;&lt;script&gt;alert("));
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

#[test]
fn plots_say_in_words_what_they_show() {
    let page = page_of("ipet");
    let plots: Vec<&str> = page.split("<svg").skip(1).collect();
    // Accuracies, calibration, two generations' losses, the students'.
    assert_eq!(plots.len(), 5);
    for plot in &plots {
        assert!(
            plot.contains("role=\"img\"") && plot.contains("aria-label=\"") && plot.contains("<title>"),
            "{}",
            &plot[..300]
        );
    }
    let student = &read("ipet").stages[2].student.clone().unwrap().accuracy;
    assert!(plots[0].contains(&format!("student: generation 1 {:.1}, interval ", student.mean * 100.0)));
}

#[test]
fn a_page_can_be_made_of_whatever_a_run_could_not_do() {
    let mut report = read("ipet");
    // A pattern that no seed could train, a diverged loss, an agreement of those that are left.
    report.stages[2].patterns[1] = None;
    report.curves[0].losses = vec![f64::NAN; 10];
    report.stages[2].agreement.as_mut().unwrap().pairwise.truncate(2);
    assert!(page(&[("run", &report)]).contains("<td>–</td>"));
    report.stages[2].ensemble.as_mut().unwrap().reliability.clear();
    report.stages[2].student.as_mut().unwrap().right.clear();
    report.curves.iter_mut().for_each(|curve| curve.losses.iter_mut().for_each(|loss| *loss = 0.0));
    report.seconds.clear();
    assert!(!page(&[("run", &report)]).contains("NaN"));
    report.stages.clear();
    assert!(page(&[("run", &report)]).contains("Nothing was measured"));
    assert!(page_of("bare").contains("there were no test rows with labels"));
}

#[test]
fn paired_tests_are_those_of_the_rows() {
    let report = read("ipet");
    let lists = |rights: &[String]| -> Vec<Vec<bool>> {
        rights.iter().map(|list| list.chars().map(|right| right == '1').collect()).collect()
    };
    let [untrained, first, last] = &report.stages[..] else { panic!("three stages") };
    let of = |measured: &Option<cloze::study::ensemble::report::Measured>| {
        lists(&measured.as_ref().unwrap().right)
    };
    let patterns: Vec<Vec<bool>> = last.patterns.iter().flat_map(of).collect();
    let wanted = [
        ("student", "ensemble", PairedDifference::of(&of(&last.student), &of(&last.ensemble))),
        ("ensemble", "mean pattern", PairedDifference::of(&of(&last.ensemble), &patterns)),
        (
            "ensemble of generation 1",
            "ensemble of generation 0",
            PairedDifference::of(&of(&last.ensemble), &of(&first.ensemble)),
        ),
        (
            "ensemble",
            "ensemble without training",
            PairedDifference::of(&of(&last.ensemble), &of(&untrained.ensemble)),
        ),
    ];
    let found = report.comparisons();
    assert_eq!(found.len(), wanted.len());
    for (found, (first, second, wanted)) in found.iter().zip(wanted) {
        assert_eq!((found.first.as_str(), found.second.as_str()), (first, second));
        assert_eq!(Some(&found.found), wanted.as_ref());
        assert_eq!(found.found.rows, 60);
    }
}

#[test]
fn runs_are_compared_only_on_the_same_test_rows() {
    let (ipet, lora, elsewhere, bare) = (read("ipet"), read("lora"), read("elsewhere"), read("bare"));
    let found = between_runs(&[("ipet", &ipet), ("lora", &lora), ("elsewhere", &elsewhere), ("bare", &bare)]);
    assert_eq!(found.len(), 6);
    let BetweenRuns::Compared(comparison) = &found[0] else {
        panic!("ipet and lora have the same test file")
    };
    let means =
        [ipet.classifier().unwrap().1, lora.classifier().unwrap().1].map(|measured| measured.accuracy.mean);
    assert!((comparison.found.difference - (means[0] - means[1])).abs() < 1e-12);
    assert!(
        matches!(&found[1], BetweenRuns::Apart { second, not_compared: "the test rows are not the same", .. } if second == "elsewhere")
    );
    assert!(matches!(
        &found[2],
        BetweenRuns::Apart { not_compared: "a run was not measured on labelled test rows", .. }
    ));
    let mut shorter = lora.clone();
    shorter.setting.test_rows = 59;
    assert!(matches!(between_runs(&[("ipet", &ipet), ("shorter", &shorter)])[0], BetweenRuns::Apart { .. }));
}

#[test]
fn a_report_whose_parts_do_not_fit_is_refused() {
    type Change = fn(&mut EnsembleReport);
    let changes: [(&str, Change); 9] = [
        ("stages[0].best", |report| report.stages[0].best = Some(3)),
        ("stages[1].patterns", |report| report.stages[1].patterns.truncate(2)),
        ("stages[2].student.right[1]", |report| {
            report.stages[2].student.as_mut().unwrap().right[1].push('1')
        }),
        ("stages[2].student.right[0]", |report| {
            report.stages[2].student.as_mut().unwrap().right[0].replace_range(0..1, "x")
        }),
        ("stages[2].ensemble.confusion", |report| {
            report.stages[2].ensemble.as_mut().unwrap().confusion.truncate(3)
        }),
        ("stages[2].agreement.pairwise[1]", |report| {
            report.stages[2].agreement.as_mut().unwrap().pairwise[1].truncate(2)
        }),
        ("curves[0].losses", |report| report.curves[0].losses.truncate(9)),
        ("curves[1].pattern", |report| report.curves[1].pattern = Some(7)),
        ("setting.seeds", |report| report.setting.seeds.clear()),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (pointer, change) in changes {
        let mut report = read("ipet");
        change(&mut report);
        std::fs::write(folder.path().join("report.json"), serde_json::to_string(&report).unwrap()).unwrap();
        let error = EnsembleReport::of_run(folder.path()).unwrap_err();
        assert!(matches!(error.kind(), Kind::Json(JsonError::Shape { .. })), "{pointer}: {error}");
        assert!(
            matches!(error.place(), cloze::error::Place::Text { pointer: found, .. } if found == pointer),
            "{pointer}: {error:?}"
        );
    }
}
