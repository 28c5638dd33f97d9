//! All that the program holds of persons: the registers of its capabilities, in one list.
//!
//! A capability that holds anything adds its register here. What a gateway holds of its own is added where a process is put together. `tests/personal_data.rs` compares the list with the database.

use domain::platform::personal_data::Register;

use crate::mail;

/// The registers of all capabilities.
pub const REGISTERS: [&Register; 8] = [
    &domain::accounts::personal_data::REGISTER,
    &domain::creators::personal_data::REGISTER,
    &domain::catalog::personal_data::REGISTER,
    &domain::drops::personal_data::REGISTER,
    &domain::reservations::personal_data::REGISTER,
    &domain::payments::personal_data::REGISTER,
    &mail::personal_data::REGISTER,
    &domain::platform::personal_data::REGISTER,
];
