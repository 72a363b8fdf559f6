"""What painting needs beside its teacher: fields, composites, the run, texels, masks, layers."""
