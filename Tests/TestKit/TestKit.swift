// What every test room shares.
