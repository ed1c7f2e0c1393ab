"""What runs online: the embedded server, its client, and the files TF Serving needs."""
