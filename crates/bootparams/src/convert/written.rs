//! A scalar as the OS's encoder writes it, and what becomes of that text.

use std::borrow::Cow;

use base64::Engine as _;

use crate::{
    tree::{ConfigValue, go_float},
    yaml,
};

/// The text of a scalar on its way through YAML.
pub(super) struct Written<'a> {
    pub(super) text: Cow<'a, str>,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The text decides the type.
    Plain,
    /// It stays a text.
    Quoted,
    /// With the tag `!!binary`.
    Binary,
}

impl<'a> Written<'a> {
    pub(super) fn of(node: &'a ConfigValue) -> Self {
        let plain = |text: String| Self { text: text.into(), form: Form::Plain };
        match node {
            // One that cannot be carried stops everything before it gets here.
            ConfigValue::Str(text) => Self { text: carried(text).unwrap_or_default(), form: Form::Quoted },
            ConfigValue::Bytes(bytes) => {
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                Self { text: text.into(), form: Form::Binary }
            }
            ConfigValue::Null => plain("null".to_owned()),
            ConfigValue::Bool(b) => plain(b.to_string()),
            ConfigValue::Int(n) => plain(n.to_string()),
            ConfigValue::Float(f) if f.is_nan() => plain(".nan".to_owned()),
            ConfigValue::Float(f) if f.is_infinite() => {
                plain(if *f < 0.0 { "-.inf" } else { "+.inf" }.to_owned())
            }
            ConfigValue::Float(f) => plain(go_float(*f)),
            // Go has no text for a year of more than four digits, and the encoder does not ask.
            ConfigValue::Time(time) => plain(time.rfc3339().unwrap_or_default()),
            // No scalars; nothing asks for their text.
            ConfigValue::List(_) | ConfigValue::Map(_) => plain(String::new()),
        }
    }

    /// Wherever a type is known, these texts are null, quoted or not.
    pub(super) fn is_null(&self) -> bool {
        yaml::is_null(&self.text)
    }

    /// What is read where a text is wanted.
    pub(super) fn string(&self) -> String {
        if self.is_null() {
            return String::new();
        }
        let bytes = || base64::engine::general_purpose::STANDARD.decode(self.text.as_bytes()).ok();
        match self.form {
            Form::Binary => bytes().map_or_else(String::new, |b| String::from_utf8_lossy(&b).into_owned()),
            Form::Plain | Form::Quoted => self.text.clone().into_owned(),
        }
    }

    /// What is read where no type is known.
    pub(super) fn read(&self) -> ConfigValue {
        match self.form {
            Form::Plain => yaml::plain(&self.text),
            Form::Quoted => ConfigValue::Str(self.text.clone().into_owned()),
            Form::Binary => yaml::binary(&self.text),
        }
    }
}

/// What becomes of a scalar where a text is wanted. None for lists and maps.
pub(crate) fn as_text(node: &ConfigValue) -> Option<String> {
    match node {
        ConfigValue::List(_) | ConfigValue::Map(_) => None,
        scalar => Some(Written::of(scalar).string()),
    }
}

/// Why the encoder cannot carry a text, in the words of Go or of the YAML reader.
pub(super) type Uncarried = &'static str;

/// What a text is after it was written and read. The encoder cannot write what it calls not printable, emoji among it;
/// other characters beyond ASCII it writes as escapes, with wrong digits: 0, 1 and 2 become 7, 8 and 9, and 3 to 9
/// become punctuation, which no reader takes.
pub(super) fn carried(text: &str) -> Result<Cow<'_, str>, Uncarried> {
    if text.is_ascii() && text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t' | b'\n' | b'\r')) {
        return Ok(text.into());
    }
    if !text.chars().all(is_printable) {
        return Err("reflect: call of reflect.Value.IsNil on string Value");
    }
    Ok(text.chars().map(escaped).collect::<Result<String, _>>()?.into())
}

/// Whether the OS holds another text than this one.
pub(crate) fn garbles(text: &str) -> bool {
    carried(text).is_ok_and(|seen| seen != text)
}

/// A character after its way through an escape.
fn escaped(c: char) -> Result<char, Uncarried> {
    // These have escapes of their own.
    if c.is_ascii() || matches!(c, '\u{85}' | '\u{a0}' | '\u{2028}' | '\u{2029}') {
        return Ok(c);
    }
    let code = u32::from(c);
    let digits = if code > 0xff { 4 } else { 2 };
    let read = (0..digits).rev().try_fold(0, |read, i| {
        let digit = match code >> (4 * i) & 0xf {
            digit @ 0..=2 => digit + 7,
            3..=9 => return None,
            letter => letter,
        };
        Some(read << 4 | digit)
    });
    let read = read.ok_or("yaml: [while parsing a quoted scalar] did not find expected hexdecimal number")?;
    char::from_u32(read)
        .ok_or("yaml: [while parsing a quoted scalar] found invalid Unicode character escape code")
}

fn is_printable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
}
