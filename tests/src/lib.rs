//! Sample data, private services and whole-pipeline tests of the mail tools.
