//! Classifiers that requests make of those that are served.

use std::sync::Arc;

use super::app::App;
use super::host::Host;
use super::problem::Problem;
use crate::error::{Error, Errors};
use crate::predict::prompt_classifier::PromptClassifier;
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;

/// A host's models with other patterns and label words, made on one of the threads that compute.
pub(super) async fn make(
    app: &Arc<App>,
    host: &Host,
    words: Vec<String>,
    templates: Vec<Template>,
    verbalizer: Verbalizer,
    correct: bool,
) -> Result<Arc<PromptClassifier>, Problem> {
    let (shared, classifier) = (app.clone(), host.classifier.clone());
    let make = move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        shared.hosts.made_of(&words, || {
            let asking = classifier.asking(templates, verbalizer)?;
            match correct {
                true => asking.corrected().map_err(|error: Error| error.into()),
                false => Ok(asking),
            }
        })
    };
    let made: Result<Arc<PromptClassifier>, Errors> = app.engine.call(make).await?;
    Ok(made?)
}
