//! The personal data in letters.

use domain::platform::personal_data::{
    Classification::Personal, Erase, Export, KeepUntil, PersonalContent, Register, RegisteredStore,
};

/// The register of stored letters. Letters that a mail server has accepted are out of this deployment's
/// control.
pub const REGISTER: Register = Register {
    capability: "mail",
    tables: &[],
    stores: &[RegisteredStore {
        name: "folder of letters",
        classification: Personal(PersonalContent {
            what: "letters, each with the recipient's address and its text",
            export: Export::Withheld(
                "the person has the letters; a deployment with a mail server keeps none",
            ),
            erase: Erase::WithRow,
            keep: KeepUntil::OperatorClears,
            why: "without a mail server, as in development and demos, the folder is where letters are read",
        }),
    }],
};
