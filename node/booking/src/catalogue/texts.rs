//! What is said of a venue, a product or a unit, in the language of the catalogue and in others.
//!
//! The rules carry it and decide nothing by it; the door shows each visitor what they can read.

/// What is said of a thing besides its name, and all of it in other languages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// In the venue's language; empty where there is none.
    pub description: String,
    /// In order of their tags, each once, none of them the venue's language.
    pub translations: Vec<Translation>,
}

/// What is said of a thing, in one other language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Tag of BCP 47 in its canonical spelling.
    pub language: String,
    /// `None` where the name is the same in this language.
    pub name: Option<String>,
    /// `None` where nobody has translated it.
    pub description: Option<String>,
}

impl Texts {
    /// Nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.description.is_empty() && self.translations.is_empty()
    }

    /// What is said in this language.
    #[must_use]
    pub fn translation(&self, language: &str) -> Option<&Translation> {
        self.translations
            .iter()
            .find(|translation| translation.language == language)
    }
}
