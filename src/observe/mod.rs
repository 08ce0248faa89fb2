// SPDX-License-Identifier: GPL-2.0-or-later
//! Facts about a domain on this host, each with its source. Nothing here changes anything.

pub mod process;
pub mod rpc;
pub mod uri;
