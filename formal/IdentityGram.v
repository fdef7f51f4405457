(* Identity I1, for every law and all codes:

     L_ND = ||X||^2 - 2 sum_j w_j <d_j, X Y_j.> + <W o G, C>,

   with w_j = P(l >= j), W_jk = w_max(j,k), G = D^T D and C = Y Y^T; so that
   <d_j, X Y_j.> = sum_n Y_jn <d_j, x_n>, and entry by entry
   <W o G, C> = sum_jk w_max(j,k) <d_j, d_k> sum_n Y_jn Y_kn. *)
From Coq Require Import Reals Lra Lia.
From OSAE Require Import Sums Losses.
Open Scope R_scope.

Definition gram_form (d K N : nat) (p : vec) (X D Y : mat) : R :=
  sum N (fun n => norm2 d (col X n))
  - 2 * sum K (fun j => survival K p j * sum N (fun n => Y j n * dot d (col D j) (col X n)))
  + sum K (fun j => sum K (fun k =>
      survival K p (Nat.max j k) * dot d (col D j) (col D k) * sum N (fun n => Y j n * Y k n))).

(* ||x - D Lambda_l y||^2, expanded. *)
Lemma norm2_residual d l D x y :
  norm2 d (residual D l x y)
  = norm2 d x - 2 * sum l (fun j => y j * dot d (col D j) x)
  + sum l (fun j => sum l (fun k => y j * y k * dot d (col D j) (col D k))).
Proof.
  unfold norm2 at 1, dot at 1, residual.
  rewrite (sum_ext d _ (fun i => x i * x i - 2 * sum l (fun j => y j * (D i j * x i))
    + sum l (fun j => sum l (fun k => y j * y k * (D i j * D i k))))).
  - rewrite sum_plus, sum_minus, sum_scal. f_equal; [f_equal; f_equal|].
    + rewrite sum_swap. apply sum_ext; intros j _. unfold dot, col. now rewrite sum_scal.
    + rewrite sum_swap. apply sum_ext; intros j _. rewrite sum_swap.
      apply sum_ext; intros k _. unfold dot, col. now rewrite sum_scal.
  - intros i _.
    replace (sum l (fun j => y j * (D i j * x i))) with (x i * sum l (fun j => D i j * y j))
      by (rewrite <- sum_scal; apply sum_ext; intros; ring).
    replace (sum l (fun j => sum l (fun k => y j * y k * (D i j * D i k))))
      with (sum l (fun j => D i j * y j) * sum l (fun j => D i j * y j)); [ring|].
    rewrite sum_mult. apply sum_ext; intros j _. apply sum_ext; intros k _. ring.
Qed.

(* An atom is in the prefixes that reach it: its terms come with weight w_j, a pair's with w_max. *)
Lemma sum_over_prefixes K p f :
  sum K (fun k => p k * sum (S k) f) = sum K (fun j => survival K p j * f j).
Proof.
  unfold survival.
  rewrite (sum_ext K _ (fun k => sum K (fun j => (if (j <=? k)%nat then p k else 0) * f j))).
  - rewrite sum_swap. apply sum_ext; intros j _. now rewrite sum_scal_r.
  - intros k Hk. rewrite (sum_prefix K), <- sum_scal by lia. apply sum_ext; intros j _.
    change (j <? S k)%nat with (j <=? k)%nat. destruct (j <=? k)%nat; ring.
Qed.

Lemma sum_over_pairs K p f :
  sum K (fun k => p k * sum (S k) (fun i => sum (S k) (fun j => f i j)))
  = sum K (fun i => sum K (fun j => survival K p (Nat.max i j) * f i j)).
Proof.
  unfold survival.
  rewrite (sum_ext K _ (fun k => sum K (fun i => sum K (fun j =>
    (if (Nat.max i j <=? k)%nat then p k else 0) * f i j)))).
  - rewrite sum_swap. apply sum_ext; intros i _. rewrite sum_swap.
    apply sum_ext; intros j _. now rewrite sum_scal_r.
  - intros k Hk. rewrite (sum_prefix K), <- sum_scal by lia. apply sum_ext; intros i _.
    rewrite (sum_prefix K (S k)) by lia.
    destruct (Nat.ltb_spec i (S k)) as [I|I].
    + rewrite <- sum_scal. apply sum_ext; intros j _.
      destruct (Nat.ltb_spec j (S k)), (Nat.leb_spec (Nat.max i j) k); try lia; ring.
    + rewrite sum_zero; [ring|]. intros j _.
      destruct (Nat.leb_spec (Nat.max i j) k); [lia|ring].
Qed.

Lemma sample_loss_gram d K p D x y : sum K p = 1 ->
  sample_loss d K p D x y
  = norm2 d x - 2 * sum K (fun j => survival K p j * (y j * dot d (col D j) x))
  + sum K (fun j => sum K (fun k =>
      survival K p (Nat.max j k) * (y j * y k * dot d (col D j) (col D k)))).
Proof.
  intros P. unfold sample_loss.
  rewrite (sum_ext K _ (fun k => p k * norm2 d x
    - 2 * (p k * sum (S k) (fun j => y j * dot d (col D j) x))
    + p k * sum (S k) (fun i => sum (S k) (fun j => y i * y j * dot d (col D i) (col D j)))))
    by (intros; rewrite norm2_residual; ring).
  rewrite sum_plus, sum_minus, sum_scal, sum_scal_r, P, sum_over_prefixes, sum_over_pairs. ring.
Qed.

Theorem nested_loss_in_gram_form d K N p X D Y : sum K p = 1 ->
  nested_code_loss d K N p X D Y = gram_form d K N p X D Y.
Proof.
  intros P. rewrite nested_code_loss_by_samples. unfold gram_form.
  rewrite (sum_ext N _ (fun n => norm2 d (col X n)
    - 2 * sum K (fun j => survival K p j * (Y j n * dot d (col D j) (col X n)))
    + sum K (fun j => sum K (fun k =>
        survival K p (Nat.max j k) * (Y j n * Y k n * dot d (col D j) (col D k))))))
    by (intros; now rewrite sample_loss_gram).
  rewrite sum_plus, sum_minus, sum_scal. f_equal; [f_equal; f_equal|].
  - rewrite sum_swap. apply sum_ext; intros j _. now rewrite sum_scal.
  - rewrite sum_swap. apply sum_ext; intros j _. rewrite sum_swap.
    apply sum_ext; intros k _. rewrite <- sum_scal. apply sum_ext; intros n _. ring.
Qed.
