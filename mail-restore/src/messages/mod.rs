//! Single messages out of a set: found by mailbox, Message-ID, time or name, and added to a live mailbox or a directory.
