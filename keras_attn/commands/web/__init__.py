"""`keras-attn web`: the web app, its site and its server."""
