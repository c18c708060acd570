"""What all reports are made with: words, pictures, pages."""
