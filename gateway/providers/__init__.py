"""Provider backends behind one seam."""
