//! What letters hold of persons.

use domain::platform::personal_data::{
    Classification::Personal, Erase, Export, KeepUntil, PersonalContent, Register, RegisteredStore,
};

/// What letters hold. Those that a mail server took are no longer ours.
pub const REGISTER: Register = Register {
    capability: "mail",
    tables: &[],
    stores: &[RegisteredStore {
        name: "folder of letters",
        classification: Personal(PersonalContent {
            what: "letters, each with the address of its recipient and what it tells",
            export: Export::Withheld("the person has the letters; a deployment that sends them keeps none"),
            erase: Erase::WithRow,
            keep: KeepUntil::OperatorClears,
            why: "without a mail server, as in development and demos, the folder is where letters are read",
        }),
    }],
};
