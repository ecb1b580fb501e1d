//! Tables of counts in JSON: row by row.

use ndarray::Array2;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de};

/// Writes a table as its rows.
pub(crate) fn serialize<S: Serializer>(counts: &Array2<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    let rows: Vec<Vec<u64>> = counts.outer_iter().map(|row| row.to_vec()).collect();
    rows.serialize(serializer)
}

/// Reads rows that are equally long.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Array2<u64>, D::Error> {
    let rows = Vec::<Vec<u64>>::deserialize(deserializer)?;
    let shape = (rows.len(), rows.first().map_or(0, Vec::len));
    Array2::from_shape_vec(shape, rows.concat()).map_err(de::Error::custom)
}
