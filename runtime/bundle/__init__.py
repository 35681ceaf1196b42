"""The exported folder, opened without torch: manifest, graphs, features and the interpretation of each latent.

Read in this order: `manifest` (the files and their checksums), `bundle` (the opened folder), `embedder` (the
protocol), `embedder_kinds`, `onnx_embedder` and `tokenizer` (its implementations), `onnx_session` (settings of the
graphs), `reading` (files of strangers, read with bounds), `autoencoder` (embeddings to sparse codes
and back), `feature`, `features` and `word_index` (lookup and search of features), `feature_edits` and `feature_editor`
(the users' changes to features), `interpretation` (the records that `runtime/interpret` makes), `write` and
`folder_lock` (replacement of a bundle's folder).
"""
