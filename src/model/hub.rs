//! Models by name: `hub:NAME` fetches a Hugging Face folder into the cache that Python's programs share
//! (`HF_HOME`; `HF_ENDPOINT` names another hub).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo};

use crate::error::{Error, ModelError, Result};
use crate::model::parameters::{WEIGHTS, shards, weight_files};
use crate::model::tokenizer::SENTENCE_PIECE;

/// What a folder needs; of each line the first file that the hub has is enough.
const NEEDED: [&[&str]; 3] = [&["config.json"], &[WHOLE_TOKENIZER, "vocab.txt", "vocab.json"], &WEIGHTS];
/// The file that says all of a tokenizer.
const WHOLE_TOKENIZER: &str = "tokenizer.json";
/// What a folder may have besides. A cache is whole only if it has them too, or it is noted there that the
/// hub has not: whether capitals count stands in the first.
const OPTIONAL: [&str; 3] = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];
/// What belongs to a `vocab.json`.
const MERGES: &str = "merges.txt";

/// The folder of a model: a path as it is, or `hub:NAME` fetched (once) into the user's cache.
pub fn folder(model: &str) -> Result<PathBuf> {
    match model.strip_prefix("hub:") {
        None => Ok(PathBuf::from(model)),
        Some(name) => fetch(name),
    }
}

fn fetch(name: &str) -> Result<PathBuf> {
    let plain = name.split('/').all(|part| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            && !part.starts_with('.')
    });
    if !plain || name.split('/').count() > 2 {
        return Err(ModelError::HubName { name: name.to_owned() }.into());
    }
    let unreachable =
        |reason: String| Error::new(ModelError::HubUnreachable { name: name.to_owned(), reason });
    let repo = Repo::model(name.to_owned());
    if let Some(folder) = cached(&Cache::from_env().repo(repo.clone())) {
        return Ok(folder);
    }
    let api = ApiBuilder::from_env().build().map_err(|error| unreachable(reason(&error)))?;
    download(&api.repo(repo)).map_err(unreachable)
}

/// The folder of a model that was fetched before, by whatever program.
fn cached(cache: &CacheRepo) -> Option<PathBuf> {
    let found = NEEDED.map(|choices| choices.iter().find_map(|file| cache.get(file)));
    let [Some(_), Some(_), Some(weights)] = found else { return None };
    let folder = weights.parent()?;
    // An index may be there, and not all that it names.
    weight_files(folder).ok()?;
    let known =
        |file: &&str| folder.join(file).exists() || absence(folder, file).is_some_and(|note| note.exists());
    let is_whole = folder.join(WHOLE_TOKENIZER).exists() || folder.join("vocab.txt").exists();
    (is_whole || folder.join(MERGES).exists()).then_some(())?;
    OPTIONAL.iter().all(known).then(|| folder.to_owned())
}

/// The empty file that notes in the cache that the hub has no such file in this version of a model. Python's
/// programs write and read the same.
fn absence(folder: &Path, file: &str) -> Option<PathBuf> {
    let (versions, version) = (folder.parent()?, folder.file_name()?);
    Some(versions.parent()?.join(".no_exist").join(version).join(file))
}

/// Notes which of the files that a folder may have the hub has not.
fn note_absence(folder: &Path, listed: &BTreeSet<String>) {
    for note in
        OPTIONAL.iter().filter(|file| !listed.contains(**file)).filter_map(|file| absence(folder, file))
    {
        // Without the note the hub is asked again.
        let _ = note.parent().map(std::fs::create_dir_all);
        let _ = std::fs::write(note, "");
    }
}

/// Fetches a model's files into one folder. The hub's own list says which there are: a file that is only not
/// to be had just now must not count as absent, because the model would be read differently without it.
fn download(hub: &ApiRepo) -> Result<PathBuf, String> {
    let listed = hub.info().map_err(|error| reason(&error))?.siblings;
    let listed: BTreeSet<String> = listed.into_iter().map(|file| file.rfilename).collect();
    let mut files: Vec<&str> = OPTIONAL.into_iter().filter(|file| listed.contains(*file)).collect();
    for choices in NEEDED {
        let found = choices.iter().find(|file| listed.contains(**file));
        files.push(found.ok_or_else(|| lacking(choices, &listed))?);
    }
    if files.contains(&"vocab.json") && listed.contains(MERGES) {
        files.push(MERGES);
    }
    let mut folder = None;
    let mut fetch = |file: &str| {
        let path = hub.download(file).map_err(|error| reason(&error))?;
        let own = path.parent().unwrap_or(Path::new(".")).to_owned();
        // The cache has a folder for each version of a model.
        match folder.get_or_insert_with(|| own.clone()) == &own {
            true => Ok(path),
            false => Err("it was changed while it was fetched; fetch it again".to_owned()),
        }
    };
    for file in files {
        let path = fetch(file)?;
        if file.ends_with(".index.json") {
            for shard in shards(&path).map_err(|error| error.to_string())? {
                // A name that the hub does not list could lead out of the cache's folder.
                if !listed.contains(&shard) || shard.contains(['/', '\\']) {
                    return Err(format!("it has no {shard}, which its {file} names"));
                }
                fetch(&shard)?;
            }
        }
    }
    let folder = folder.ok_or_else(|| "it has no files".to_owned())?;
    note_absence(&folder, &listed);
    Ok(folder)
}

/// What is wrong where a hub has none of these files.
fn lacking(choices: &[&str], listed: &BTreeSet<String>) -> String {
    let whole: Vec<&str> = choices.iter().copied().filter(|file| !file.ends_with(".index.json")).collect();
    let wanted = format!("it has no {}", whole.join(" or "));
    match SENTENCE_PIECE.iter().find(|file| choices.contains(&WHOLE_TOKENIZER) && listed.contains(**file)) {
        Some(found) => {
            format!("{wanted}; transformers makes the first of {found} (AutoTokenizer, then save_pretrained)")
        }
        None => wanted,
    }
}

/// What failed, without the names of the layers above.
fn reason(error: &ApiError) -> String {
    match error {
        ApiError::RequestError(error) => error.to_string(),
        ApiError::TooManyRetries(error) => reason(error),
        error => error.to_string(),
    }
}
