"""The keys that an exported `config.json` may have: sizes, numbers, ids, labels, names of classes.

None of them makes a reader run code or fetch it. `auto_map`, `attn_implementation`, `use_kernels`
and the like are not among them, and nothing is copied from a `config.json` that was imported. A
system with a new word for a size adds the word here.
"""

from __future__ import annotations

_KEYS = """
    activation afn architectures attention_bias attention_dropout attention_probs_dropout_prob
    attn_pdrop bos_token_id classifier_activation classifier_bias classifier_dropout
    classifier_dropout_prob classifier_pooling cls_token_id decoder_bias dim dropout dtype
    embd_pdrop embedding_size eos_token_id hidden_act hidden_activation hidden_dim
    hidden_dropout_prob hidden_size id2label initializer_range inner_group_num
    intermediate_size intra_bottleneck_size key_query_shared_bottleneck label2id
    layer_norm_eps layer_norm_epsilon layer_types local_attention mask_token_id
    max_position_embeddings mlp_bias mlp_dropout model_type n_embd n_head n_heads n_layer
    n_layers n_positions norm_bias norm_eps normalization_type num_attention_heads num_choices
    num_feedforward_networks num_hidden_groups num_hidden_layers num_key_value_heads
    pad_token_id problem_type qa_dropout resid_pdrop rms_norm_eps rope_parameters rotary_value
    sep_token_id seq_classif_dropout sinusoidal_pos_embds summary_activation
    summary_last_dropout summary_type summary_use_proj task_type_vocab_size
    tie_word_embeddings trigram_input type_vocab_size use_bottleneck use_bottleneck_attention
    use_task_id vocab_size
"""
EXPORTED_KEYS = frozenset(_KEYS.split())
