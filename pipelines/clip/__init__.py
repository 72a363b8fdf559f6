"""What a video edit needs beside its teacher: flow, masks, the change, how it is shown."""
