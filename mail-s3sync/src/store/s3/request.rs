//! What the requests that make an object have in common. rusoto has a type of its own for each,
//! with the same fields.

/// A request of the type `$request` for `$key`, a key in the set's prefix: with the marks and the
/// lock of `$attributes`, and what every object of this run gets.
macro_rules! new_object {
    ($request:ident, $bucket:expr, $key:expr, $attributes:expr) => {
        $request {
            bucket: $bucket.name.clone(),
            key: $bucket.full($key),
            metadata: Some($crate::store::s3::marks::write(&$attributes.marks)),
            object_lock_mode: $attributes.lock.map(|lock| lock.mode.name().to_owned()),
            object_lock_retain_until_date: $attributes.lock.map(|lock| lock.until.to_string()),
            storage_class: $bucket.writing.storage_class.clone(),
            server_side_encryption: $bucket.writing.encryption.clone(),
            ssekms_key_id: $bucket.writing.kms_key.clone(),
            tagging: $bucket.writing.tags.clone(),
            ..Default::default()
        }
    };
}

pub(super) use new_object;
