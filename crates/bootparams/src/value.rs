//! Typed parameters, as `media.toml` writes them.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
    ser::SerializeMap as _,
};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// A text.
    Text(String),
    /// An integer.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A list.
    List(Vec<Value>),
    /// Sub-keys, in order.
    Table(Vec<(String, Value)>),
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Param {
    /// Words as they stand.
    Verbatim(String),
    /// A key and the value to give it.
    Typed(String, Value),
}

/// Parameters in the order in which they were written: an array of texts (words as they stand) and tables
/// (typed).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Params(pub Vec<Param>);

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let items = Vec::<Item>::deserialize(d)?;
        Ok(Self(items.into_iter().flat_map(|item| item.0).collect()))
    }
}

impl Serialize for Params {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(&self.0)
    }
}

impl Serialize for Param {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Verbatim(words) => s.serialize_str(words),
            Self::Typed(key, value) => {
                let mut map = s.serialize_map(Some(1))?;
                map.serialize_entry(key, value)?;
                map.end()
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => s.serialize_str(text),
            Self::Int(n) => s.serialize_i64(*n),
            Self::Bool(b) => s.serialize_bool(*b),
            Self::List(list) => s.collect_seq(list),
            Self::Table(table) => s.collect_map(table.iter().map(|(k, v)| (k, v))),
        }
    }
}

/// One item of the array; a table may hold several keys.
struct Item(Vec<Param>);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text such as \"quiet\" or a table such as { console = \"ttyS0\" }")
            }

            fn visit_str<E>(self, text: &str) -> Result<Item, E> {
                Ok(Item(vec![Param::Verbatim(text.to_owned())]))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item, A::Error> {
                Ok(Item(entries(map)?.into_iter().map(|(key, value)| Param::Typed(key, value)).collect()))
            }
        }
        d.deserialize_any(ItemVisitor)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a text, an integer, a boolean, a list or a table (write a float or a date as a text)",
                )
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
                Ok(Value::Int(n))
            }

            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Value, E> {
                i64::try_from(n).map(Value::Int).map_err(|_| E::custom("the integer does not fit"))
            }

            fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
                Ok(Value::Bool(b))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    list.push(item);
                }
                Ok(Value::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                entries(map).map(Value::Table)
            }
        }
        d.deserialize_any(ValueVisitor)
    }
}

fn entries<'de, A: MapAccess<'de>>(mut map: A) -> Result<Vec<(String, Value)>, A::Error> {
    let mut entries = Vec::new();
    while let Some((key, value)) = map.next_entry::<String, Value>()? {
        // The parser hands over a date as a table with this key.
        if key == "$__toml_private_datetime" {
            return Err(serde::de::Error::custom("a date or time is not a value here; write it as a text"));
        }
        entries.push((key, value));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_keeps_its_order_and_types() {
        #[derive(Deserialize)]
        struct ParamsFile {
            params: Params,
        }
        let text =
            r#"params = ["quiet", { z = 1, a = [true, "x"] }, { rancher = { state = { dev = "none" } } }]"#;
        let file: ParamsFile = toml::from_str(text).unwrap();
        let dev = Value::Table(vec![("dev".to_owned(), Value::Text("none".to_owned()))]);
        assert_eq!(
            file.params.0,
            [
                Param::Verbatim("quiet".to_owned()),
                Param::Typed("z".to_owned(), Value::Int(1)),
                Param::Typed(
                    "a".to_owned(),
                    Value::List(vec![Value::Bool(true), Value::Text("x".to_owned())])
                ),
                Param::Typed("rancher".to_owned(), Value::Table(vec![("state".to_owned(), dev)])),
            ]
        );
        let back = serde_json::to_string(&file.params).unwrap();
        assert_eq!(back, r#"["quiet",{"z":1},{"a":[true,"x"]},{"rancher":{"state":{"dev":"none"}}}]"#);
        assert!(toml::from_str::<ParamsFile>("params = [1]").is_err());
        assert!(toml::from_str::<ParamsFile>("params = [{ a = 1.5 }]").is_err());
        for date in ["1979-05-27", "{ a = 07:32:00 }", "{ a = { b = [1979-05-27T07:32:00Z] } }"] {
            let said = toml::from_str::<ParamsFile>(&format!("params = [{date}]")).err().unwrap().to_string();
            assert!(said.contains("write it as a text"), "{date}: {said}");
        }
    }
}
