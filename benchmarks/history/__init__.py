"""History: what it costs in preparation beside others, and what it is worth on KuaiRand's slice."""
