//! Columns with types, as Parquet and Arrow have them, and what their values are as text.

use std::fmt::Debug;

use arrow_array::cast::AsArray as _;
use arrow_array::temporal_conversions::{as_date, as_datetime, as_time};
use arrow_array::types::{
    ArrowPrimitiveType, ArrowTimestampType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};

/// What a type is that has no text, in the plural; none of one that has. Lists of texts have one where
/// something stands between their entries.
pub(crate) fn without_text(data_type: &DataType, lists: bool) -> Option<&'static str> {
    match data_type {
        DataType::Dictionary(_, values) => without_text(values, lists),
        DataType::RunEndEncoded(_, values) => without_text(values.data_type(), lists),
        DataType::List(entry) | DataType::LargeList(entry) if lists => {
            without_text(entry.data_type(), false).map(|_| "lists of other things than texts")
        }
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => Some("lists"),
        DataType::Struct(_) | DataType::Union(..) => Some("records"),
        DataType::Map(..) => Some("maps"),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            Some("bytes")
        }
        DataType::Duration(_) | DataType::Interval(_) => Some("spans of time"),
        _ => None,
    }
}

/// A value as a field: a string's text, numbers in decimals, `true` or `false`, dates and times as ISO 8601
/// (those with a time zone in UTC), nothing for null, and the texts of a list with what stands `between`
/// them. None of a date that no calendar has, and of types [`without_text`].
pub(crate) fn text(array: &dyn Array, row: usize, between: Option<&str>) -> Option<String> {
    if array.is_null(row) {
        return Some(String::new());
    }
    Some(match array.data_type() {
        DataType::Null => String::new(),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        DataType::Utf8View => array.as_string_view().value(row).to_owned(),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int8 => number::<Int8Type>(array, row),
        DataType::Int16 => number::<Int16Type>(array, row),
        DataType::Int32 => number::<Int32Type>(array, row),
        DataType::Int64 => number::<Int64Type>(array, row),
        DataType::UInt8 => number::<UInt8Type>(array, row),
        DataType::UInt16 => number::<UInt16Type>(array, row),
        DataType::UInt32 => number::<UInt32Type>(array, row),
        DataType::UInt64 => number::<UInt64Type>(array, row),
        DataType::Float16 => format!("{:?}", array.as_primitive::<Float16Type>().value(row).to_f32()),
        // With a point, as Python and pandas write them: 1.0.
        DataType::Float32 => number::<Float32Type>(array, row),
        DataType::Float64 => number::<Float64Type>(array, row),
        DataType::Decimal32(..) => array.as_primitive::<Decimal32Type>().value_as_string(row),
        DataType::Decimal64(..) => array.as_primitive::<Decimal64Type>().value_as_string(row),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Decimal256(..) => array.as_primitive::<Decimal256Type>().value_as_string(row),
        DataType::Date32 => date::<Date32Type>(array, row)?,
        DataType::Date64 => date::<Date64Type>(array, row)?,
        DataType::Time32(TimeUnit::Second) => time::<Time32SecondType>(array, row)?,
        DataType::Time32(_) => time::<Time32MillisecondType>(array, row)?,
        DataType::Time64(TimeUnit::Microsecond) => time::<Time64MicrosecondType>(array, row)?,
        DataType::Time64(_) => time::<Time64NanosecondType>(array, row)?,
        DataType::Timestamp(unit, zone) => {
            let text = match unit {
                TimeUnit::Second => instant::<TimestampSecondType>(array, row),
                TimeUnit::Millisecond => instant::<TimestampMillisecondType>(array, row),
                TimeUnit::Microsecond => instant::<TimestampMicrosecondType>(array, row),
                TimeUnit::Nanosecond => instant::<TimestampNanosecondType>(array, row),
            }?;
            text + if zone.is_some() { "Z" } else { "" }
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let key = text(dictionary.keys(), row, None)?.parse().ok()?;
            text(dictionary.values(), key, between)?
        }
        DataType::RunEndEncoded(ends, _) => {
            let run = match ends.data_type() {
                DataType::Int16 => array.as_run::<Int16Type>().get_physical_index(row),
                DataType::Int32 => array.as_run::<Int32Type>().get_physical_index(row),
                _ => array.as_run::<Int64Type>().get_physical_index(row),
            };
            text(array.as_any_ree().values(), run, between)?
        }
        DataType::List(_) => joined(&array.as_list::<i32>().value(row), between?)?,
        DataType::LargeList(_) => joined(&array.as_list::<i64>().value(row), between?)?,
        _ => return None,
    })
}

/// A value as JSON: numbers and booleans as themselves, lists as lists, all else as its text; null where it
/// is none, and for numbers that JSON has not.
pub(crate) fn json(array: &dyn Array, row: usize) -> String {
    let list = match array.data_type() {
        DataType::List(_) if array.is_valid(row) => Some(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) if array.is_valid(row) => Some(array.as_list::<i64>().value(row)),
        _ => None,
    };
    if let Some(entries) = list {
        let entries: Vec<String> = (0..entries.len()).map(|entry| json(&entries, entry)).collect();
        return format!("[{}]", entries.join(","));
    }
    let said = text(array, row, None);
    let Some(said) = said.filter(|_| !array.is_null(row)) else { return "null".to_owned() };
    let kind = match array.data_type() {
        DataType::Dictionary(_, values) => values.as_ref(),
        kind => kind,
    };
    match kind {
        DataType::Null => "null".to_owned(),
        DataType::Boolean => said,
        kind if kind.is_numeric() => {
            let is_number = said.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
            if is_number && !said.ends_with("inf") { said } else { "null".to_owned() }
        }
        _ => serde_json::Value::from(said).to_string(),
    }
}

fn number<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> String
where
    T::Native: Debug,
{
    format!("{:?}", array.as_primitive::<T>().value(row))
}

fn date<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> Option<String>
where
    i64: From<T::Native>,
{
    as_date::<T>(array.as_primitive::<T>().value(row).into()).map(|date| format!("{date:?}"))
}

fn time<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> Option<String>
where
    i64: From<T::Native>,
{
    as_time::<T>(array.as_primitive::<T>().value(row).into()).map(|time| format!("{time:?}"))
}

fn instant<T: ArrowTimestampType>(array: &dyn Array, row: usize) -> Option<String> {
    as_datetime::<T>(array.as_primitive::<T>().value(row)).map(|instant| format!("{instant:?}"))
}

fn joined(entries: &ArrayRef, between: &str) -> Option<String> {
    let texts: Option<Vec<String>> = (0..entries.len()).map(|entry| text(entries, entry, None)).collect();
    Some(texts?.join(between))
}
