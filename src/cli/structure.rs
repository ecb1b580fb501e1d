//! The flags that say what stands between classes.

use anyhow::{Result, bail};
use cloze::text::commas::between_commas;
use cloze::text::verbalizer::{Ordered, StructureRequest, TreeMode};

use super::shell;

#[derive(Debug, Clone, Default, clap::Args)]
pub struct StructureArgs {
    /// The labels are paths of a tree, as sport/football; how its classes are scored
    #[arg(long, value_enum, value_name = "HOW")]
    pub tree: Option<TreeMode>,
    /// The classes stand in an order, as stars do: as they are given, or as named here from the lowest to the
    /// highest
    #[arg(long, value_name = "LABEL,…", num_args = 0..=1, require_equals = true)]
    pub ordered: Option<Option<String>>,
}

impl StructureArgs {
    /// Whether anything is asked.
    pub fn any(&self) -> bool {
        self.tree.is_some() || self.ordered.is_some()
    }

    /// What is asked.
    pub fn request(&self) -> Result<StructureRequest> {
        let ordered = match &self.ordered {
            None => None,
            Some(None) => Some(Ordered::AsTheyStand),
            Some(Some(names)) => match between_commas(names) {
                Some(names) => Some(Ordered::As(names.iter().map(|name| name.trim().to_owned()).collect())),
                None => bail!("in --ordered a quote is opened and not closed"),
            },
        };
        Ok(StructureRequest { tree: self.tree, ordered })
    }

    /// The flags again, for a command that does the same.
    pub fn typed(&self) -> String {
        let tree = self.tree.map(TreeMode::name);
        let ordered = match &self.ordered {
            None => String::new(),
            Some(None) => " --ordered".to_owned(),
            Some(Some(names)) => format!(" --ordered={}", shell::quoted(names)),
        };
        shell::flag("tree", tree) + &ordered
    }
}
