"""The client of clas_system: what runs where the pictures are. It needs neither paddle nor PaddleHub."""
