"""The studio's tabs and widgets, one idea a file. With app.py the only code that imports gradio."""
