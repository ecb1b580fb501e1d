//! What must hold of samples, folds and shared rows.

use cloze::learn::sample::{Candidate, Sample, Shortage, folds, identity, k_shot, k_shot_after, shared};
use cloze::text::data::{Columns, Example, Format, Rows};
use proptest::prelude::*;

fn candidate(identity: &str, class: usize) -> Candidate {
    Candidate { identity: identity.to_owned(), class }
}

/// Rows 0 to 39 in three classes of unequal sizes.
fn forty() -> Vec<Candidate> {
    (0..40).map(|row| candidate(&format!("row {row}"), [0, 0, 0, 1, 2, 0, 1, 0][row % 8])).collect()
}

fn identities<'a>(rows: &'a [Candidate], sample: &Sample) -> Vec<&'a str> {
    sample.rows.iter().map(|row| rows[*row].identity.as_str()).collect()
}

fn read(csv: &str, label_column: Option<&str>) -> (Columns, Vec<Example>) {
    let rows = Rows::read(Box::new(std::io::Cursor::new(csv.to_owned())), "test", Format::Csv, label_column)
        .unwrap();
    (Columns::clone(rows.columns()), rows.collect::<Result<_, _>>().unwrap())
}

fn shared_of(rows: &(Columns, Vec<Example>), others: &(Columns, Vec<Example>)) -> Vec<usize> {
    shared((&rows.0, &rows.1), (&others.0, &others.1))
}

#[test]
fn a_sample_is_the_same_on_every_machine_and_in_every_version() {
    let rows = forty();
    assert_eq!(
        identities(&rows, &k_shot(&rows, 3, 2, 0)),
        ["row 29", "row 24", "row 11", "row 38", "row 36", "row 4"]
    );
    assert_eq!(
        identities(&rows, &k_shot(&rows, 3, 2, 1)),
        ["row 29", "row 1", "row 22", "row 19", "row 12", "row 4"]
    );
    assert_eq!(folds(&[0, 0, 0, 0, 1, 1, 1], 3, 0), [vec![1, 3, 4], vec![0, 6], vec![2, 5]]);
}

#[test]
fn each_seed_draws_its_own_sample_and_seed_0_is_a_seed_like_any_other() {
    let rows = forty();
    let samples: Vec<Sample> =
        [0, 1, 2, 3, u64::MAX].into_iter().map(|seed| k_shot(&rows, 3, 4, seed)).collect();
    for (index, sample) in samples.iter().enumerate() {
        assert!(samples[..index].iter().all(|other| other != sample));
    }
}

#[test]
fn every_row_is_drawn_as_often_as_any_other() {
    let rows: Vec<Candidate> = (0..20).map(|row| candidate(&row.to_string(), 0)).collect();
    let mut drawn = [0_u32; 20];
    for seed in 0..2000 {
        k_shot(&rows, 1, 5, seed).rows.iter().for_each(|row| drawn[*row] += 1);
    }
    // 2000 draws of chance 1/4: 500 ± 4.5 standard deviations of 19.4.
    assert!(drawn.iter().all(|count| (413..=587).contains(count)), "{drawn:?}");
}

#[test]
fn a_class_with_too_few_rows_gives_all_it_has_and_is_named() {
    let rows = [candidate("a", 0), candidate("b", 2), candidate("c", 0), candidate("d", 0)];
    let sample = k_shot(&rows, 3, 2, 5);
    assert_eq!(sample.short, [Shortage { class: 1, found: 0 }, Shortage { class: 2, found: 1 }]);
    assert_eq!((sample.rows.len(), sample.rows[2]), (3, 1));
    let after = k_shot_after(&rows, 3, 2, 2, 5);
    assert_eq!(after.short, [0, 1, 2].map(|class| Shortage { class, found: usize::from(class == 0) }));
}

#[test]
fn a_row_is_known_by_its_id_or_else_by_its_number() {
    let (columns, rows) = read("text,id,label\ngood,x7,up\nbad,,down\n", None);
    assert_eq!(rows.iter().map(|row| identity(&columns, row)).collect::<Vec<_>>(), ["x7", ""]);
    let (columns, rows) = read("text,label\ngood,up\nbad,down\n", None);
    assert_eq!(rows.iter().map(|row| identity(&columns, row)).collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn rows_of_one_identity_are_all_drawn_and_by_their_place() {
    let rows = [candidate("", 0), candidate("", 0), candidate("", 0)];
    assert_eq!(k_shot(&rows, 1, 2, 0).rows, [0, 1]);
    assert_eq!(k_shot_after(&rows, 1, 2, 2, 0).rows, [2]);
}

#[test]
fn rows_are_shared_by_all_text_columns_that_both_sets_have() {
    let train = read(
        "id,title,body,topic\n1,Rain,wet,weather\n2,Sun,dry,weather\n3,Rain,dry,weather\n",
        Some("topic"),
    );
    // Another order, another id, white space, another label, a column more; then another body, and another
    // case.
    let test = read(
        "body,extra,title,id,topic\nwet,x,Rain,9,news\n\" dry\n\",y,\tSun ,9,news\nwet,z,Sun,1,weather\ndry,z,rain,3,weather\n",
        Some("topic"),
    );
    assert_eq!(shared_of(&test, &train), [0, 1]);
    assert_eq!(shared_of(&train, &test), [0, 1]);
}

#[test]
fn ids_and_labels_alone_are_shared_by_none() {
    let rows = read("id,label\n1,up\n2,down\n", None);
    assert!(shared_of(&rows, &rows).is_empty());
    // What is a label in one set does not count in the other.
    assert!(shared_of(&read("id,topic\n1,a\n", None), &read("id,topic\n1,a\n", Some("topic"))).is_empty());
}

#[test]
fn no_folds_and_folds_of_no_rows() {
    assert!(folds(&[0, 1], 0, 0).is_empty());
    assert_eq!(folds(&[], 2, 0), [Vec::<usize>::new(), Vec::new()]);
}

proptest! {
    #[test]
    fn the_order_of_the_rows_never_changes_a_sample(rows in Just(forty()).prop_shuffle(), shots in 0_usize..12, seed: u64) {
        let sorted = forty();
        prop_assert_eq!(identities(&rows, &k_shot(&rows, 3, shots, seed)), identities(&sorted, &k_shot(&sorted, 3, shots, seed)));
    }

    #[test]
    fn rows_of_other_classes_never_change_a_class(shots in 0_usize..12, seed: u64) {
        let all = forty();
        let ones: Vec<Candidate> = all.iter().filter(|row| row.class == 1).cloned().collect();
        let whole = k_shot(&all, 3, shots, seed);
        let of_class: Vec<&str> = identities(&all, &whole).into_iter().filter(|id| ones.iter().any(|row| row.identity == *id)).collect();
        prop_assert_eq!(identities(&ones, &k_shot(&ones, 3, shots, seed)), of_class);
    }

    #[test]
    fn train_and_dev_never_overlap_and_together_are_the_larger_sample(train in 0_usize..8, dev in 0_usize..8, seed: u64) {
        let rows = forty();
        let mut both = k_shot(&rows, 3, train, seed).rows;
        both.extend(k_shot_after(&rows, 3, train, dev, seed).rows);
        let mut wanted = k_shot(&rows, 3, train + dev, seed).rows;
        both.sort_unstable();
        wanted.sort_unstable();
        prop_assert_eq!(both, wanted);
    }

    #[test]
    fn folds_part_the_rows_evenly_in_all_and_in_each_class(
        truths in prop::collection::vec(0_usize..4, 0..60), count in 1_usize..8, seed: u64,
    ) {
        let folds = folds(&truths, count, seed);
        let mut rows: Vec<usize> = folds.concat();
        rows.sort_unstable();
        prop_assert_eq!(rows, (0..truths.len()).collect::<Vec<_>>());
        for class in [None, Some(0), Some(1), Some(2), Some(3)] {
            let sizes = folds.iter().map(|fold| fold.iter().filter(|row| class.is_none_or(|class| truths[**row] == class)).count());
            let (least, most) = (sizes.clone().min().unwrap(), sizes.max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }
}
