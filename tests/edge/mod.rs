//! Black-box tests of the edge: audits by other implementations, hostile connections, and the settings that
//! open and close the edge.

use crate::harness;
use crate::node;

mod audits;
mod crowds;
mod raw;
mod room;
mod settings;
mod slow;
mod smuggling;
