//! The results of a pre-training, from its folder.

use std::collections::BTreeMap;
use std::path::Path;

use maud::{Markup, html};

use crate::error::Result;
use crate::error::source::Source;
use crate::learn::run::{MANIFEST, METRICS, RunFolder, SeedEvent};
use crate::learn::train::Event;
use crate::numbers::{brief, count};
use crate::page::plots::{Line, POINTS, losses, thinned};
use crate::study::pretrain::{Manifest, PretrainMetrics};
use crate::text::json::{self, Node};

/// The results, and what was run.
pub struct PretrainReport {
    /// The table of results.
    pub metrics: PretrainMetrics,
    /// What was run.
    pub manifest: Manifest,
    /// The loss on what was learned from, by step.
    train: Line,
    /// The loss on each held-out text, by step.
    held_out: Vec<Line>,
}

impl PretrainReport {
    /// Reads the results of a finished run.
    pub fn read(run: &Path) -> Result<PretrainReport> {
        let (folder, manifest) = (RunFolder::existing(run)?, Manifest::read(&run.join(MANIFEST))?);
        let file = run.join(METRICS);
        let source = Source::new(file.display().to_string(), json::read_text(&file)?);
        let metrics: PretrainMetrics = Node::root(&source).read_object()?;
        let (mut learned, mut looks) = (Vec::new(), BTreeMap::<String, Vec<(f64, f64)>>::new());
        for look in &metrics.before {
            looks.entry(look.of.clone()).or_default().push((0.0, look.loss));
        }
        folder.each_event(&mut |SeedEvent { event, .. }| match event {
            Event::Step { step, losses: found, .. } => {
                learned.extend(found.language_modelling.map(|loss| (step as f64, loss)));
            }
            Event::Looked { step, looks: found } => {
                for look in found {
                    looks.entry(look.of).or_default().push((step as f64, look.loss));
                }
            }
            Event::Evaluated { .. } => {}
        })?;
        let train = ("learned".to_owned(), thinned(&learned, POINTS));
        Ok(PretrainReport { metrics, manifest, train, held_out: looks.into_iter().collect() })
    }

    /// What was run, in a line.
    pub(super) fn what(&self) -> String {
        let metrics = &self.metrics;
        let texts = self.manifest.texts.text.len();
        [
            format!("{} {} with {}", texts, if texts == 1 { "text" } else { "texts" }, metrics.method),
            format!("{} steps", count(metrics.steps as u64)),
            format!("{} tokens", count(metrics.tokens as u64)),
            brief(std::time::Duration::from_secs_f64(metrics.seconds)),
        ]
        .join(" · ")
    }

    /// All about it.
    pub(super) fn body(&self) -> Markup {
        html! {
            section.first {
                @if self.metrics.after.is_empty() {
                    p.headline { "No text was held out." }
                } @else {
                    (self.table())
                }
            }
            section {
                h2 { "Learning curves" }
                p { "The mean loss of a masked token in nats, by step." }
                div.beside {
                    (losses("texts that were learned from", std::slice::from_ref(&self.train)))
                    (losses("held-out texts", &self.held_out))
                }
            }
        }
    }

    fn table(&self) -> Markup {
        html! {
            div.scroll tabindex="0" {
                table {
                    thead {
                        tr {
                            th.text scope="col" { "held-out text" }
                            th scope="col" { "masked tokens" }
                            th scope="col" { "loss before" }
                            th scope="col" { "after" }
                            th scope="col" { "perplexity before" }
                            th scope="col" { "after" }
                        }
                    }
                    tbody {
                        @for (before, after) in self.metrics.before.iter().zip(&self.metrics.after) {
                            tr {
                                th.text scope="row" { (after.of) }
                                td { (count(after.rows as u64)) }
                                td { (format!("{:.3}", before.loss)) }
                                td { (format!("{:.3}", after.loss)) }
                                td { (format!("{:.1}", before.loss.exp())) }
                                td { (format!("{:.1}", after.loss.exp())) }
                            }
                        }
                    }
                }
            }
            p.note { "The mean loss of a masked token in nats, on the same masks; its perplexity is e to that." }
        }
    }
}
